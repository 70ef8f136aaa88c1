"""Fit, resume, validate and score with tiny modules of both kinds, through a Trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.metrics import ScoreSettings, ScoreTable
from kosum_pl.modules import SummarizationModule
from tests.modules_fixtures import quiet_trainer, small_module


class Tape(Callback):
    """Keeps every optimizer step's loss."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(float(trainer.callback_metrics["train/loss"]))


@pytest.fixture
def files(cut_demo: Callable[[int, int], dict[str, str]]) -> dict[str, str]:
    """40 training and 12 validation rows of the demo."""
    return cut_demo(40, 12)


@pytest.fixture(autouse=True)
def short_presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets of the shipped ones' names that generate a few tokens, in the working folder's own `configs`."""
    folder = tmp_path / "configs" / "presets"
    folder.mkdir(parents=True)
    for name, text in {
        "fast": "max_new_tokens: 12",
        "default": "num_beams: 2\nmax_new_tokens: 12",
        "saturday": "when: {weekday: 7}\nmax_new_tokens: 16",
    }.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def make_module(kind: str, **settings: Any) -> SummarizationModule:
    return small_module(kind, **({"learning_rate": 2e-3, "generate_during_fit": False} | settings))


def fitted(module: SummarizationModule, data: SummarizationDataModule, **settings: Any) -> list[float]:
    """Every optimizer step's loss."""
    tape = Tape()
    callbacks = [tape, *settings.pop("callbacks", [])]
    quiet_trainer(**({"max_steps": 12, "callbacks": callbacks} | settings)).fit(module, datamodule=data)
    return tape.losses


def validated(module: SummarizationModule, data: SummarizationDataModule) -> Trainer:
    trainer = quiet_trainer()
    trainer.validate(module, datamodule=data, verbose=False)
    return trainer


def test_removing_every_callback_leaves_the_losses_identical(files: dict[str, str], tmp_path: Path) -> None:
    from kosum_pl.cli.plugins import load_plugins

    load_plugins()
    from kosum_pl.callbacks.rouge_sum_checkpoint import RougeSumCheckpoint

    found = []
    for callbacks in ([], [RougeSumCheckpoint(dirpath=str(tmp_path / "checkpoints"))]):
        torch.manual_seed(7)
        module = make_module("seq2seq", dropout=0.3, generate_during_fit=True)
        data = SummarizationDataModule(**files, batch_size=8, num_workers=0)
        settings = {"callbacks": callbacks, "enable_checkpointing": bool(callbacks), "val_check_interval": 2}
        found.append(fitted(module, data, **settings))
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_the_loss_falls(kind: str, files: dict[str, str]) -> None:
    torch.manual_seed(7)
    data = SummarizationDataModule(**files, max_batch_tokens=1500, num_workers=0)
    losses = fitted(make_module(kind), data, max_steps=40)
    assert sum(losses[-5:]) / 5 < losses[0] - 1.0


def test_scores_are_those_of_the_predictions(kind: str, files: dict[str, str]) -> None:
    module = make_module(kind, preset="fast")
    trainer = validated(module, SummarizationDataModule(**files, batch_size=8, eval_batch_size=5))
    assert [prediction.example_id for prediction in module.predictions] == sorted(
        (prediction.example_id for prediction in module.predictions), key=lambda name: int(name.split("_")[-1])
    )
    assert len(module.predictions) == 12
    alone = ScoreTable.of(module.predictions, ScoreSettings(rouge_tokenizer="char")).scores()
    expected = {f"val/{name}": value for name, value in alone.items()}
    assert {name: module.scores[name] for name in expected} == expected
    assert set(module.metric_names) <= module.scores.keys()
    assert float(trainer.callback_metrics["val/rouge_sum"]) == pytest.approx(expected["val/rouge_sum"], rel=1e-6)
    assert module.scores["val/eos_rate"] == sum(p.reached_eos for p in module.predictions) / 12


def test_the_evaluation_loss_is_a_mean_over_tokens(kind: str, files: dict[str, str]) -> None:
    """The loss does not depend on how rows are cut into batches."""
    losses = []
    for eval_batch_size in (1, 5, 12):
        torch.manual_seed(3)
        module = make_module(kind, preset="fast")
        data = SummarizationDataModule(**files, batch_size=8, eval_batch_size=eval_batch_size)
        validated(module, data)
        losses.append(module.scores["val/loss"])
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "served"),
    [
        ({"presets": ["saturday", "default"]}, {(True, "saturday"), (False, "default")}),
        ({"preset": "saturday"}, {(True, "saturday"), (False, "saturday")}),
    ],
)
def test_rows_are_served_by_the_preset_that_matches_or_is_forced(
    settings: dict[str, Any], served: set[tuple[bool, str]], files: dict[str, str]
) -> None:
    module = make_module("seq2seq", **settings)
    validated(module, SummarizationDataModule(**files, batch_size=8))
    assert {(row.profile["weekday"] == "7", row.preset) for row in module.predictions} == served


def test_validation_inside_fit_uses_the_fit_preset(files: dict[str, str]) -> None:
    module = make_module("seq2seq", generate_during_fit=True)
    fitted(module, SummarizationDataModule(**files, batch_size=8), max_steps=2, val_check_interval=2)
    assert {prediction.preset for prediction in module.predictions} == {"fast"}


def test_the_sanity_check_keeps_the_scores_before_training(files: dict[str, str]) -> None:
    module = make_module("seq2seq", generate_during_fit=True)
    data = SummarizationDataModule(**files, batch_size=8)
    fitted(module, data, max_steps=5, num_sanity_val_steps=-1)
    assert set(module.metric_names) <= module.start_scores.keys()
    assert module.start_scores["val/loss"] > module.scores["val/loss"]


def test_gradient_checkpointing_changes_no_loss(kind: str, files: dict[str, str]) -> None:
    found = []
    for is_on in (False, True):
        torch.manual_seed(7)
        module = make_module(kind, gradient_checkpointing=is_on)
        found.append(fitted(module, SummarizationDataModule(**files, batch_size=8, num_workers=0), max_steps=4))
        assert module.language_model.is_gradient_checkpointing is is_on
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_bf16_training_runs(kind: str, files: dict[str, str]) -> None:
    torch.manual_seed(7)
    data = SummarizationDataModule(**files, batch_size=8, num_workers=0)
    losses = fitted(make_module(kind), data, max_steps=8, precision="bf16-mixed")
    assert losses[-1] < losses[0]
