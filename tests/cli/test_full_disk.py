"""A fit whose disk is full for everything but checkpoints, once or until the end."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kosum_pl.__main__ import main
from kosum_pl.modules import Seq2SeqModule
from tests.error_lines import error_line
from tests.full_disk import fill_disk
from tests.tiny_config import tiny_config, write_tiny

CALLBACKS = [{"class_path": name} for name in ("SampleTable", "GradNormHistogram", "RougeSumCheckpoint")]
CONFIG = tiny_config(
    trainer={
        "max_steps": 4,
        "val_check_interval": 2,
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        "callbacks": CALLBACKS,
    },
    model={"rouge_tokenizer": "space"},
    data={"predict_file": "dev.csv"},
)
FIT = ("fit", "--config", "tiny.yaml")
FULL = "the disk is full: free space, or name another place (--runs_dir, KOSUM_CACHE, TMPDIR)"
AT_VALIDATIONS = ("metrics.jsonl", "predictions.csv", "predictions.jsonl", "slices.csv", "metrics.json")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_demo: Callable[[int, int], dict[str, str]]) -> Path:
    """A working folder with a few of the demo's rows and a tiny config."""
    monkeypatch.chdir(tmp_path)
    cut_demo(8, 4)
    write_tiny(CONFIG)
    return tmp_path


def run_of(work: Path) -> Path:
    (run,) = [path for path in (work / "runs" / "tiny").iterdir() if not path.is_symlink()]
    return run


def steps_kept(run: Path) -> list[int]:
    """Steps of the checkpoints that are whole, `last.ckpt` in front."""
    paths = [run / "checkpoints" / "last.ckpt", *sorted((run / "checkpoints").glob("step=*.ckpt"))]
    return [int(torch.load(path, weights_only=True)["global_step"]) for path in paths]


@pytest.mark.parametrize("name", AT_VALIDATIONS)
def test_a_file_that_is_lost_for_good_costs_no_checkpoint(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    refused = fill_disk(monkeypatch, name.__eq__, number=errno.EDQUOT)
    line = error_line(capsys, *FIT, has_output=True)
    run = run_of(work)
    assert len(refused) >= 2
    assert steps_kept(run) == [4, 2, 4]
    assert f"{run / name}: Disk quota exceeded; the quota is used up: free space, or name another place" in line
    assert line.endswith("; the checkpoints are whole")
    assert not (run / name).exists()
    assert [path.name for path in run.iterdir() if path.name.startswith(".")] == []
    assert not (run / "crash.txt").exists()


def test_with_every_file_lost_all_checkpoints_are_there_and_the_scores_are_shown(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(FIT) == 0
    whole = {path.name for path in (run_of(work) / "checkpoints").iterdir()}
    started = ("config.yaml", "run.json", "reproduce.sh", "constraints.txt", "grad_norms.csv", "grad_spikes.csv")
    fill_disk(monkeypatch, lambda name: not name.endswith(".ckpt") and name not in started)
    capsys.readouterr()
    assert main([*FIT, "--run_name", "full"]) == 2
    out, err = capsys.readouterr()
    (run,) = [path for path in (work / "runs" / "full").iterdir() if not path.is_symlink()]
    assert {path.name for path in (run / "checkpoints").iterdir()} == whole
    assert "lead-1" in out
    for name in ("samples.jsonl", "grad_norms.json", "predictions and slices", "metrics.jsonl", "metrics.json"):
        assert err.count(f"warning: {name} could not be written: ") == 1
    assert "the report could not be written: OSError" in out
    assert FULL in err.splitlines()[-1]


def test_a_disk_that_has_room_again_gets_everything(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    validations = 0
    finish = Seq2SeqModule.on_validation_epoch_end

    def counting(module: Seq2SeqModule) -> None:
        nonlocal validations
        validations += 1
        finish(module)

    monkeypatch.setattr(Seq2SeqModule, "on_validation_epoch_end", counting)
    refused = fill_disk(monkeypatch, lambda name: validations == 1 and name in AT_VALIDATIONS)
    assert main(FIT) == 0
    run = run_of(work)
    assert {"metrics.jsonl", "predictions.csv", "metrics.json"} <= set(refused)
    assert steps_kept(run) == [4, 2, 4]
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [2, 4]
    assert len((run / "predictions.csv").read_text().splitlines()) == 5
    assert json.loads((run / "metrics.json").read_text())["best_checkpoint"].startswith("checkpoints/step=")
    err = capsys.readouterr().err
    assert f"warning: predictions and slices could not be written: {run / 'predictions.csv'}: No space left" in err


def test_an_error_with_a_full_disk_keeps_its_traceback_and_the_last_step(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be written while a fit ends must neither hide why it ends, nor come before the checkpoint."""
    step, is_failing = Seq2SeqModule.training_step, False

    def training_step(module: Seq2SeqModule, batch: Any, batch_idx: int) -> Any:
        nonlocal is_failing
        if module.global_step == 3:
            is_failing = True
            raise KeyError("a defect")
        return step(module, batch, batch_idx)

    monkeypatch.setattr(Seq2SeqModule, "training_step", training_step)
    lost = ("metrics.json", "grad_norms.json", "run.json", "crash.txt")
    refused = fill_disk(monkeypatch, lambda name: is_failing and name in lost)
    with pytest.raises(KeyError, match="a defect"):
        main(FIT)
    assert set(refused) == set(lost)
    assert steps_kept(run_of(work)) == [3, 2]


def test_a_full_disk_at_a_checkpoint_is_told_as_such(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, lambda name: name.endswith(".ckpt"))
    with pytest.warns(UserWarning, match=r"step 2 is lost: .*last.ckpt cannot be written \(No space left on device\)"):
        line = error_line(capsys, *FIT, has_output=True)
    assert ".ckpt cannot be written (No space left on device); the earlier file is as it was: make room" in line


def test_predictions_that_cannot_be_written_are_one_line(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch, lambda name: name.startswith("predictions"))
    line = error_line(capsys, "predict", *FIT[1:], has_output=True)
    assert line.endswith(f"predictions.csv: No space left on device; {FULL}")
