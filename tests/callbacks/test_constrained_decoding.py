"""The constraint, switched by stage through a Trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import LightningModule, Trainer

from kosum_pl.callbacks.constrained_decoding import ConstrainedDecoding
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.decode import ConstraintSettings
from kosum_pl.modules import SummarizationModule
from tests.modules_fixtures import SMALL, quiet_trainer, small_module


@pytest.fixture(autouse=True)
def short_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "configs" / "presets"
    folder.mkdir(parents=True)
    (folder / "fast.yaml").write_text("max_new_tokens: 12", encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def run(command: str, files: dict[str, str], callback: Any, **settings: Any) -> SummarizationModule:
    """Run a stage; `is_constrained` inside its steps is noted on the module."""
    shape = {**SMALL["causal"], "initializer_range": 0.3}
    module = small_module("causal", shape=shape, preset="fast", **settings)
    trainer = quiet_trainer(callbacks=[callback] if callback else [], max_steps=2, val_check_interval=2)
    data = SummarizationDataModule(
        **files, test_file=files["val_file"], predict_file=files["val_file"], batch_size=8, eval_batch_size=6
    )
    getattr(trainer, command)(module, datamodule=data)
    return module


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_it_serves_the_stages_that_are_listed(
    command: str, cut_demo: Callable[[int, int], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    stage = "validation" if command == "validate" else command
    files = cut_demo(8, 6)
    on = run(command, files, ConstrainedDecoding(), constraint=ConstraintSettings())
    assert f"{stage}: constraint automaton: 11,289 characters of 'korean'" in capsys.readouterr().out
    others = [name for name in ("validation", "test", "predict") if name != stage]
    off = run(command, files, ConstrainedDecoding(stages=others), constraint=ConstraintSettings())
    assert f"{stage}: no constraint" in capsys.readouterr().out
    prefix = "val" if command == "validate" else command
    assert (on.score_record()["constraint"], off.score_record()["constraint"]) == ("automaton", "none")
    assert on.scores[f"{prefix}/raw_contamination_rate"] == 0.0
    assert off.scores[f"{prefix}/raw_contamination_rate"] > 0.0
    assert off.decoding.is_constrained(stage), "left as the config says"


def test_inside_fit_it_says_once_what_serves(
    cut_demo: Callable[[int, int], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    module = run("fit", cut_demo(16, 6), ConstrainedDecoding(), constraint=ConstraintSettings())
    assert module.scores["val/raw_contamination_rate"] == 0.0
    assert capsys.readouterr().out.count("validation: constraint automaton") == 1


def test_without_the_callback_a_constraint_always_serves(cut_demo: Callable[[int, int], dict[str, str]]) -> None:
    module = run("validate", cut_demo(8, 6), None, constraint=ConstraintSettings())
    assert module.scores["val/raw_contamination_rate"] == 0.0


def test_a_module_without_a_constraint_stays_free(
    cut_demo: Callable[[int, int], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    module = run("validate", cut_demo(8, 6), ConstrainedDecoding(), constraint=None)
    assert "validation: no constraint" in capsys.readouterr().out
    assert module.scores["val/raw_contamination_rate"] > 0.0


def test_another_module_is_refused() -> None:
    with pytest.raises(ValueError, match="LightningModule is no SummarizationModule; take the callback out"):
        ConstrainedDecoding().setup(Trainer(logger=False), LightningModule(), "fit")
