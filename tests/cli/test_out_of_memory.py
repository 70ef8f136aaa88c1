"""A fit whose memory runs out: one line, the last step saved, and a command to paste that works."""

from __future__ import annotations

import importlib
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from kosum_pl.__main__ import main
from kosum_pl.encode import Batch
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.modules import Seq2SeqModule
from tests.error_lines import error_line
from tests.memory_errors import cuda_error, exhaust_cpu
from tests.tiny_config import tiny_config, write_tiny

CONFIG = tiny_config(
    trainer={"max_steps": 4, "val_check_interval": 2, "log_every_n_steps": 1, "num_sanity_val_steps": 0},
    model={"rouge_tokenizer": "space"},
    data={"eval_batch_size": 4},
)
FIT = ("fit", "--config", "tiny.yaml", "--safe_csv", "--run_name", "tight run")
ADVICE = "try --data.batch_size 1 --trainer.accumulate_grad_batches 2 --model.gradient_checkpointing true"
PLAN = "python -m kosum_pl plan --config tiny.yaml --run_name 'tight run'"
FailsIn = Callable[..., None]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_demo: Callable[[int, int], dict[str, str]]) -> Path:
    """A working folder with a few of the demo's rows and a tiny config."""
    monkeypatch.chdir(tmp_path)
    cut_demo(8, 4)
    write_tiny(CONFIG)
    return tmp_path


def last_run(work: Path) -> Path:
    (run,) = [path for path in (work / "runs" / "tight run").iterdir() if not path.is_symlink()]
    return run


def saved(run: Path) -> int:
    return int(torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"])


@pytest.fixture
def fails_in(monkeypatch: pytest.MonkeyPatch) -> FailsIn:
    """Has memory run out in a part of a module's training, at its n-th batch."""

    def fails_in(part: str, *, batch_number: int, refuse: Callable[[], object]) -> None:
        num_seen = 0
        optimizer = importlib.import_module("torch.optim.adam")  # what AdamW calls once gradients are there
        step, update = Seq2SeqModule.training_step, optimizer.adam

        def training_step(module: Seq2SeqModule, batch: Batch, batch_idx: int) -> Any:
            nonlocal num_seen
            num_seen += 1
            loss = step(module, batch, batch_idx)
            if num_seen == batch_number:
                if part == "forward":
                    refuse()
                if part == "backward":
                    loss.register_hook(lambda gradient: refuse())
            return loss

        def adam(*arguments: Any, **named: Any) -> None:
            if num_seen == batch_number:
                refuse()
            update(*arguments, **named)

        monkeypatch.setattr(Seq2SeqModule, "training_step", training_step)
        if part == "update":
            monkeypatch.setattr(optimizer, "adam", adam)

    return fails_in


def refuse() -> None:
    raise cuda_error()


@pytest.mark.parametrize(
    ("part", "words", "step"),
    [("forward", "its forward pass", 3), ("backward", "its backward pass", 3)],
)
def test_a_step_is_one_line_and_the_step_before_is_saved(
    work: Path, capsys: pytest.CaptureFixture[str], fails_in: FailsIn, part: str, words: str, step: int
) -> None:
    fails_in(part, batch_number=4, refuse=refuse)
    line = error_line(capsys, *FIT, has_output=True)
    run = last_run(work)
    problem, *rest = line.split("; ")
    assert problem.startswith(f"memory ran out at step 4 in {words} (Tried to allocate 2.00 GiB), at a batch of 2 rows")
    assert rest == [f"step 3 is saved in {run}", ADVICE, f"what this config needs says {PLAN}"]
    named = problem.rpartition("(rows ")[2].rstrip(")").split(", ")
    assert len(set(named)) == 2
    assert all(name.startswith("train_") for name in named)
    assert saved(run) == step
    assert not (run / "crash.txt").exists()
    assert json.loads((run / "run.json").read_text())["state"] == "failed"
    assert main(shlex.split(PLAN)[3:]) in (0, 1)


def test_an_update_leaves_the_checkpoint_before_it(
    work: Path, capsys: pytest.CaptureFixture[str], fails_in: FailsIn
) -> None:
    """Its weights may be those of two steps at once."""
    fails_in("update", batch_number=4, refuse=refuse)
    with pytest.warns(UserWarning, match=r"last.ckpt is not of step 3: the error came within the next update"):
        line = error_line(capsys, *FIT, has_output=True)
    assert line.startswith("memory ran out at step 4 in its update, where an optimizer makes its state (Tried to")
    assert f"; step 2 is saved in {last_run(work)}; train fewer weights (model.adapter), or hold them in less" in line
    assert saved(last_run(work)) == 2


def test_a_real_error_of_the_allocator_in_the_middle_of_an_accumulation(
    work: Path, capsys: pytest.CaptureFixture[str], fails_in: FailsIn
) -> None:
    fails_in("forward", batch_number=3, refuse=exhaust_cpu)
    line = error_line(capsys, *FIT, "--trainer.accumulate_grad_batches", "2", has_output=True)
    tried = "you tried to allocate 1125899906842624 bytes"
    assert line.startswith(f"memory ran out at step 2 in its forward pass ({tried}), at a batch of 2 rows x ")
    assert "; try --data.batch_size 1 --trainer.accumulate_grad_batches 4 --model.gradient_checkpointing true; " in line
    assert line.endswith(f"{PLAN} --trainer.accumulate_grad_batches 2")
    assert saved(last_run(work)) == 1


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ((), "memory ran out in the validation after step 2 (Tried to allocate 2.00 GiB); step 2 is saved in "),
        (("--trainer.num_sanity_val_steps", "-1"), "memory ran out in the sanity check (Tried to allocate 2.00 GiB); "),
    ],
    ids=["validation", "sanity check"],
)
def test_what_a_validation_computes_beside_its_batches(
    work: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    where: str,
) -> None:
    monkeypatch.setattr(EvaluationScores, "finish", lambda *_: refuse())
    line = error_line(capsys, *FIT, *options, has_output=True)
    assert line.startswith(where)
    assert "try --data.eval_batch_size 2; what this config needs says python -m kosum_pl plan --config" in line


def test_a_row_that_is_too_much_for_a_validation_keeps_the_step_before_it(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logits = Seq2SeqModule.supervised_logits

    def limited(module: Seq2SeqModule, batch: Batch) -> Any:
        if not module.training:
            refuse()
        return logits(module, batch)

    monkeypatch.setattr(Seq2SeqModule, "supervised_logits", limited)
    line = error_line(capsys, *FIT, has_output=True)
    assert line.startswith("row dev_")
    assert " alone does not fit into memory (Tried to allocate 2.00 GiB) when it is scored by its loss: " in line
    assert saved(last_run(work)) == 2
    assert not (last_run(work) / "crash.txt").exists()


def test_weights_that_do_not_fit_at_all(
    work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Seq2SeqModule, "configure_model", lambda module: refuse())
    line = error_line(capsys, *FIT, has_output=True)
    assert line.startswith("memory ran out before the first step, while model and optimizer were set up (Tried to ")
    assert line.endswith(PLAN)
    assert error_line(capsys, "validate", *FIT[1:], has_output=True).startswith("memory ran out (Tried to allocate ")
