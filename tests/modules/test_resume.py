"""A run that goes on from a checkpoint trains on the very rows that an unbroken one would have."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from kosum_pl.callbacks.rouge_sum_checkpoint import RougeSumCheckpoint
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.errors import checkpoint_misfit
from kosum_pl.modules.step_count import limited_batches
from kosum_pl.signals import Stopped
from tests.modules_fixtures import quiet_trainer, small_module


class Tape(Callback):
    """Every batch's rows, and of every optimizer step its loss and the rate it was made with."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.steps: list[tuple[float, float]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.rows.append(batch.rows)
        if trainer.global_step > self._first + len(self.steps):
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.steps.append((float(trainer.callback_metrics["train/loss"]), rate))

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._first = trainer.global_step


@pytest.fixture
def files(cut_demo: Callable[[int, int], dict[str, str]]) -> dict[str, str]:
    """40 training rows, five batches of eight, and 4 validation rows."""
    return cut_demo(40, 4)


def fit(
    files: dict[str, str],
    kind: str,
    tape: Tape,
    *,
    num_workers: int = 0,
    batch_size: int | None = 8,
    max_batch_tokens: int | None = None,
    ckpt_path: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    **settings: Any,
) -> None:
    """Train with dropout; the seed decides weights and dropout, so that only a resume's state can differ."""
    torch.manual_seed(7)
    trainer = quiet_trainer(enable_checkpointing=bool(callbacks), callbacks=[tape, *callbacks], **settings)
    module = small_module(kind, dropout=0.3, learning_rate=2e-3, generate_during_fit=False)
    sizes = {"batch_size": batch_size, "max_batch_tokens": max_batch_tokens, "num_workers": num_workers}
    data = SummarizationDataModule(**files, **sizes)  # type: ignore[arg-type]
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)


def saver(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(dirpath=folder, every_n_train_steps=1, save_top_k=-1, filename="{step}")


# Five batches an epoch; two of them a step leave one over, which is a step of its own. Last come the steps to go on
# from: the first, those around an epoch's end, one in the second epoch.
RUNS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "epochs": ("seq2seq", {"max_epochs": 2}, (1, 4, 5, 7)),
    "epochs, causal": ("causal", {"max_epochs": 2}, (3, 7)),
    "steps": ("causal", {"max_steps": 8}, (4, 7)),
    "steps, seq2seq": ("seq2seq", {"max_steps": 8}, (1, 5)),
    "both, epochs end it": ("seq2seq", {"max_epochs": 2, "max_steps": 100}, (3, 7)),
    "both, steps end it": ("causal", {"max_epochs": 9, "max_steps": 8}, (3, 7)),
    "a remainder": ("causal", {"max_epochs": 2, "accumulate_grad_batches": 2}, (1, 2, 3, 5)),
    "a remainder and steps": ("seq2seq", {"max_epochs": 9, "max_steps": 5, "accumulate_grad_batches": 2}, (2, 4)),
    "validation in mid-epoch": ("seq2seq", {"max_epochs": 2, "val_check_interval": 2}, (3, 7)),
    "validation in mid-epoch, a share": ("causal", {"max_epochs": 2, "val_check_interval": 0.4}, (2, 4, 7)),
    "validation over epochs": (
        "seq2seq",
        {"max_epochs": 2, "val_check_interval": 3, "check_val_every_n_epoch": None},
        (3, 4, 6, 9),
    ),
    "a limited epoch": ("causal", {"max_epochs": 2, "limit_train_batches": 3}, (1, 2, 3, 5)),
    "a limited epoch, a share": ("seq2seq", {"max_epochs": 3, "limit_train_batches": 0.5}, (2, 3, 4)),
    "a limited epoch and workers": ("causal", {"max_epochs": 2, "limit_train_batches": 3, "num_workers": 2}, (2, 3)),
    "workers that have read ahead": ("causal", {"max_epochs": 2, "num_workers": 2}, (3, 7)),
}


@pytest.mark.parametrize(("kind", "settings", "starts"), RUNS.values(), ids=RUNS.keys())
def test_a_resume_goes_on_with_the_very_next_rows(
    kind: str, settings: dict[str, Any], starts: tuple[int, ...], files: dict[str, str], tmp_path: Path
) -> None:
    """Rows, losses and learning rates agree to the bit, dropout on."""
    whole, folder = Tape(), tmp_path / "saved"
    fit(files, kind, whole, callbacks=(saver(folder),), **settings)
    accumulated = settings.get("accumulate_grad_batches", 1)
    an_epoch = limited_batches(5, limit=settings.get("limit_train_batches", 5))
    steps_an_epoch = -(-an_epoch // accumulated)
    for num_steps in starts:
        resumed = Tape()
        torch.rand(1000)  # the generators are elsewhere when a new process starts
        fit(files, kind, resumed, ckpt_path=folder / f"step={num_steps}.ckpt", **settings)
        num_batches = num_steps // steps_an_epoch * an_epoch + num_steps % steps_an_epoch * accumulated
        assert resumed.rows == whole.rows[num_batches:] != [], num_steps
        assert resumed.steps == whole.steps[num_steps:], num_steps


@pytest.mark.parametrize("batches", [{}, {"batch_size": None, "max_batch_tokens": 500}], ids=str)
def test_a_resume_of_weighted_files_goes_on_with_the_very_next_rows(
    batches: dict[str, Any], files: dict[str, str], tmp_path: Path
) -> None:
    """Half of a file's rows are read twice an epoch, and which ones changes with the epoch."""
    weighted: Any = [{"path": files["train_file"], "weight": 1.5}, {"path": files["val_file"], "weight": 0.5}]
    whole, folder = Tape(), tmp_path / "saved"
    fit(files | {"train_file": weighted}, "causal", whole, callbacks=(saver(folder),), max_epochs=2, **batches)
    an_epoch = len(whole.rows) // 2
    assert len({row for rows in whole.rows for row in rows}) < sum(map(len, whole.rows)) // 2
    for num_steps in (1, an_epoch - 1, an_epoch, an_epoch + 2):
        resumed, last = Tape(), folder / f"step={num_steps}.ckpt"
        fit(files | {"train_file": weighted}, "causal", resumed, ckpt_path=last, max_epochs=2, **batches)
        assert resumed.rows == whole.rows[num_steps:] != [], num_steps
        assert resumed.steps == whole.steps[num_steps:], num_steps


@pytest.mark.parametrize("num_steps", [3, 5, 7])
def test_a_fit_that_max_steps_ended_goes_on_with_more_of_them(
    num_steps: int, files: dict[str, str], tmp_path: Path
) -> None:
    """In mid-epoch too, where Lightning takes the epoch for done."""
    whole, resumed = Tape(), Tape()
    fit(files, "seq2seq", whole, max_steps=12)
    keep = RougeSumCheckpoint("val/loss", dirpath=str(tmp_path))
    fit(files, "seq2seq", Tape(), callbacks=(keep,), max_steps=num_steps)
    fit(files, "seq2seq", resumed, ckpt_path=tmp_path / "last.ckpt", max_steps=12)
    assert resumed.rows == whole.rows[num_steps:]


class StopsAt(Callback):
    """A signal that comes when the validation after a step begins."""

    def __init__(self, num_steps: int) -> None:
        self.num_steps = num_steps
        self.validated_at: list[int] = []

    def on_validation_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        self.validated_at.append(trainer.global_step)
        if trainer.global_step == self.num_steps:
            raise Stopped(signal.SIGTERM)


# What ends the fit; the step before its last validation, and its last step; what is given to go on.
EVERY_TWO = {"val_check_interval": 2}
ENDS: dict[str, tuple[dict[str, Any], tuple[int, int], dict[str, Any]]] = {
    "epochs": ({"max_epochs": 2}, (10, 10), {"max_epochs": 3}),
    "steps, at an epoch's end": ({"max_steps": 10}, (10, 10), {"max_steps": 15}),
    "steps, in mid-epoch": ({"max_steps": 7, **EVERY_TWO}, (7, 7), {"max_steps": 15, **EVERY_TWO}),
    "epochs, a step later": ({"max_epochs": 2, **EVERY_TWO}, (9, 10), {"max_epochs": 3, **EVERY_TWO}),
}


@pytest.mark.parametrize(("settings", "steps", "more"), ENDS.values(), ids=ENDS.keys())
def test_a_fit_stopped_in_its_last_validation_makes_it_again(
    settings: dict[str, Any], steps: tuple[int, int], more: dict[str, Any], files: dict[str, str], tmp_path: Path
) -> None:
    """And no step more than asked; the checkpoint that it then writes is one to go on from, random state included."""

    def keep(name: str) -> RougeSumCheckpoint:
        return RougeSumCheckpoint("val/loss", dirpath=str(tmp_path / name))

    stopped_at, num_steps = steps
    whole, resumed, validations = Tape(), Tape(), StopsAt(-1)
    fit(files, "seq2seq", whole, callbacks=(keep("whole"),), **settings)
    with pytest.raises(Stopped):
        fit(files, "seq2seq", Tape(), callbacks=(StopsAt(stopped_at), keep("stopped")), **settings)
    last = tmp_path / "stopped" / "last.ckpt"
    fit(files, "seq2seq", resumed, ckpt_path=last, callbacks=(validations, keep("stopped")), **settings)
    assert len(whole.rows) == num_steps
    assert resumed.rows == whole.rows[stopped_at:]
    assert validations.validated_at == [stopped_at]
    going_on, wanted = Tape(), Tape()
    fit(files, "seq2seq", wanted, ckpt_path=tmp_path / "whole" / "last.ckpt", **more)
    fit(files, "seq2seq", going_on, ckpt_path=last, **more)
    assert going_on.rows == wanted.rows != []
    assert going_on.steps == wanted.steps


def test_a_fit_with_nothing_left_to_do_keeps_its_last_checkpoint(files: dict[str, str], tmp_path: Path) -> None:
    last = tmp_path / "last.ckpt"
    for ckpt_path in (None, last):
        before = last.read_bytes() if ckpt_path else b""
        keep, validations = RougeSumCheckpoint("val/loss", dirpath=str(tmp_path)), StopsAt(-1)
        fit(files, "seq2seq", Tape(), ckpt_path=ckpt_path, callbacks=(validations, keep), max_steps=4)
    assert last.read_bytes() == before
    assert validations.validated_at == []


def test_an_owed_validation_that_no_interval_asks_for_costs_no_step(files: dict[str, str], tmp_path: Path) -> None:
    settings = {"max_steps": 7, "val_check_interval": 2}
    keep = RougeSumCheckpoint("val/loss", dirpath=str(tmp_path))
    with pytest.raises(Stopped):
        fit(files, "seq2seq", Tape(), callbacks=(StopsAt(7), keep), **settings)
    resumed, keep = Tape(), RougeSumCheckpoint("val/loss", dirpath=str(tmp_path))
    last = tmp_path / "last.ckpt"
    fit(files, "seq2seq", resumed, ckpt_path=last, callbacks=(keep,), **settings | {"val_check_interval": 5})
    assert resumed.rows == []


@pytest.mark.parametrize("settings", [{"max_epochs": 2}, {"max_steps": 10}], ids=str)
def test_a_resume_with_other_rows_or_batches_is_refused(
    settings: dict[str, Any], files: dict[str, str], tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    folder = tmp_path / "saved"
    fit(files, "seq2seq", Tape(), callbacks=(saver(folder),), **settings)
    (tmp_path / "train.csv").rename(tmp_path / "all.csv")
    files = files | {"train_file": str(tmp_path / "all.csv")}
    others = cut_demo(38, 4)
    for given, batch_size, words in (
        (files, 6, "data.batch_size or data.seed are not those of the checkpoint"),
        (others, 8, "with 40 training rows, now there are 38"),
    ):
        with pytest.raises(RuntimeError) as stumble:  # Lightning's own, while it cleans up
            fit(given, "seq2seq", Tape(), ckpt_path=folder / "step=3.ckpt", batch_size=batch_size, **settings)
        refusal = checkpoint_misfit(stumble.value, "step=3.ckpt")
        assert str(refusal).startswith("cannot resume: ")
        assert words in str(refusal)
