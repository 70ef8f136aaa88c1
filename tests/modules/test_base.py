"""Fit, resume, validate and score with tiny modules of both kinds, through a Trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.metrics import ScoreSettings, ScoreTable
from kosum_pl.modules import CausalModule, Seq2SeqModule, SummarizationModule

SHAPES = {
    "seq2seq": {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48},
    "causal": {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 48},
}
DROPOUT = {"seq2seq": "dropout", "causal": "attention_dropout"}


class Tape(Callback):
    """Keeps every optimizer step's loss and rows."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rows: list[tuple[int, ...]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.rows.append(batch.rows)
        if "train/loss" in trainer.callback_metrics:
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


def make_module(kind: str, *, dropout: float = 0.0, **settings: Any) -> SummarizationModule:
    module_class, name = {"seq2seq": (Seq2SeqModule, "demo:bart"), "causal": (CausalModule, "demo:llama")}[kind]
    defaults = {"rouge_tokenizer": "char", "learning_rate": 2e-3, "generate_during_fit": False}
    return module_class(
        name, random_init=True, config_overrides=SHAPES[kind] | {DROPOUT[kind]: dropout}, **(defaults | settings)
    )


def make_trainer(**settings: Any) -> Trainer:
    defaults = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0, "max_steps": 12}
    return Trainer(
        accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        **(defaults | settings),
    )  # fmt: skip


def fit(files: dict[str, str], kind: str, tape: Tape, *, num_workers: int = 0, **settings: Any) -> Trainer:
    """Train with dropout; the seed decides weights and dropout, so that only a resume's state can differ."""
    ckpt_path = settings.pop("ckpt_path", None)
    torch.manual_seed(7)
    trainer = make_trainer(callbacks=[tape, *settings.pop("callbacks", [])], **settings)
    data = SummarizationDataModule(**files, batch_size=8, num_workers=num_workers)
    trainer.fit(make_module(kind, dropout=0.3), datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("num_steps", [3, 5, 7])
def test_a_resumed_run_goes_on_with_the_very_next_batch(
    num_steps: int, num_workers: int, files: dict[str, str], tmp_path: Path
) -> None:
    """Epochs have five batches: before, at and after the end of one. Losses agree to the bit, dropout on."""
    whole, resumed = Tape(), Tape()
    fit(files, "seq2seq", whole, num_workers=num_workers)
    saver = ModelCheckpoint(dirpath=tmp_path / "saved", every_n_train_steps=num_steps, save_top_k=-1, filename="{step}")
    fit(files, "seq2seq", Tape(), num_workers=num_workers, enable_checkpointing=True, callbacks=[saver])
    # The generators are elsewhere when a new process starts.
    torch.rand(1000)
    fit(
        files, "seq2seq", resumed, num_workers=num_workers, ckpt_path=str(tmp_path / "saved" / f"step={num_steps}.ckpt")
    )
    assert len(set(whole.losses)) == 12
    assert resumed.rows == whole.rows[num_steps:]
    assert resumed.losses == whole.losses[num_steps:]


def test_a_resume_of_a_causal_model_is_exact(files: dict[str, str], tmp_path: Path) -> None:
    whole, resumed = Tape(), Tape()
    saver = ModelCheckpoint(dirpath=tmp_path / "saved", every_n_train_steps=4, save_top_k=-1, filename="{step}")
    fit(files, "causal", whole, accumulate_grad_batches=2, enable_checkpointing=True, callbacks=[saver], max_steps=6)
    ckpt_path = str(tmp_path / "saved" / "step=4.ckpt")
    fit(files, "causal", resumed, accumulate_grad_batches=2, ckpt_path=ckpt_path, max_steps=6)
    assert resumed.losses == whole.losses[-len(resumed.losses) :]
    assert resumed.rows == whole.rows[-len(resumed.rows) :]


def test_removing_every_callback_leaves_the_losses_identical(files: dict[str, str], tmp_path: Path) -> None:
    from kosum_pl.cli.plugins import load_plugins

    load_plugins()
    from kosum_pl.callbacks.rouge_sum_checkpoint import RougeSumCheckpoint

    found = []
    for callbacks in ([], [RougeSumCheckpoint(dirpath=str(tmp_path / "checkpoints"))]):
        tape = Tape()
        torch.manual_seed(7)
        trainer = make_trainer(callbacks=[tape, *callbacks], enable_checkpointing=bool(callbacks), val_check_interval=2)
        data = SummarizationDataModule(**files, batch_size=8, num_workers=0)
        trainer.fit(make_module("seq2seq", dropout=0.3, generate_during_fit=True), datamodule=data)
        found.append(tape.losses)
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_the_loss_falls(kind: str, files: dict[str, str]) -> None:
    tape = Tape()
    torch.manual_seed(7)
    trainer = make_trainer(callbacks=[tape], max_steps=40)
    data = SummarizationDataModule(**files, max_batch_tokens=1500, num_workers=0)
    trainer.fit(make_module(kind), datamodule=data)
    assert sum(tape.losses[-5:]) / 5 < tape.losses[0] - 1.0


def test_scores_are_those_of_the_predictions(kind: str, files: dict[str, str]) -> None:
    module = make_module(kind, preset="fast")
    trainer = make_trainer()
    trainer.validate(
        module, datamodule=SummarizationDataModule(**files, batch_size=8, eval_batch_size=5), verbose=False
    )
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
        make_trainer().validate(module, datamodule=data, verbose=False)
        losses.append(module.scores["val/loss"])
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-6)


def test_rows_are_served_by_the_preset_that_matches(files: dict[str, str]) -> None:
    module = make_module("seq2seq", presets=["saturday", "default"])
    make_trainer().validate(module, datamodule=SummarizationDataModule(**files, batch_size=8), verbose=False)
    served = {(prediction.profile["weekday"] == "7", prediction.preset) for prediction in module.predictions}
    assert served == {(True, "saturday"), (False, "default")}


def test_a_forced_preset_serves_every_row(files: dict[str, str]) -> None:
    module = make_module("seq2seq", preset="saturday")
    make_trainer().validate(module, datamodule=SummarizationDataModule(**files, batch_size=8), verbose=False)
    assert {prediction.preset for prediction in module.predictions} == {"saturday"}


def test_validation_inside_fit_uses_the_fit_preset(files: dict[str, str]) -> None:
    module = make_module("seq2seq", generate_during_fit=True)
    make_trainer(max_steps=2, val_check_interval=2).fit(
        module, datamodule=SummarizationDataModule(**files, batch_size=8)
    )
    assert {prediction.preset for prediction in module.predictions} == {"fast"}


def test_the_sanity_check_keeps_the_scores_before_training(files: dict[str, str]) -> None:
    module = make_module("seq2seq", generate_during_fit=True)
    data = SummarizationDataModule(**files, batch_size=8)
    make_trainer(max_steps=5, num_sanity_val_steps=-1).fit(module, datamodule=data)
    assert set(module.metric_names) <= module.start_scores.keys()
    assert module.start_scores["val/loss"] > module.scores["val/loss"]


def test_a_checkpoint_loads_with_weights_only(files: dict[str, str], tmp_path: Path) -> None:
    trainer = fit(files, "causal", Tape(), max_steps=1)
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    checkpoint = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert checkpoint["kosum_pl"]["model_name"] == "demo:llama"
    assert "hyper_parameters" not in checkpoint


def test_gradient_checkpointing_changes_no_loss(kind: str, files: dict[str, str]) -> None:
    found = []
    for is_on in (False, True):
        tape = Tape()
        torch.manual_seed(7)
        module = make_module(kind, gradient_checkpointing=is_on)
        data = SummarizationDataModule(**files, batch_size=8, num_workers=0)
        make_trainer(callbacks=[tape], max_steps=4).fit(module, datamodule=data)
        assert module.language_model.is_gradient_checkpointing is is_on
        found.append(tape.losses)
    assert found[1] == pytest.approx(found[0], rel=1e-5)


def test_bf16_training_runs(kind: str, files: dict[str, str]) -> None:
    tape = Tape()
    torch.manual_seed(7)
    data = SummarizationDataModule(**files, batch_size=8, num_workers=0)
    make_trainer(callbacks=[tape], max_steps=8, precision="bf16-mixed").fit(make_module(kind), datamodule=data)
    assert tape.losses[-1] < tape.losses[0]
