"""A run that goes on from a checkpoint trains on the very rows that an unbroken one would have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.errors import checkpoint_misfit
from tests.modules_fixtures import quiet_trainer, small_module


class Tape(Callback):
    """Every batch's rows, and of every optimizer step its loss and the rate it was made with."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.steps: list[tuple[float, float]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.rows.append(batch.rows)
        if trainer.global_step > self._last(trainer):
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.steps.append((float(trainer.callback_metrics["train/loss"]), rate))

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._first = trainer.global_step

    def _last(self, trainer: Trainer) -> int:
        return self._first + len(self.steps)


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
    batch_size: int = 8,
    ckpt_path: Path | None = None,
    callbacks: tuple[Callback, ...] = (),
    **settings: Any,
) -> None:
    """Train with dropout; the seed decides weights and dropout, so that only a resume's state can differ."""
    torch.manual_seed(7)
    trainer = quiet_trainer(enable_checkpointing=bool(callbacks), callbacks=[tape, *callbacks], **settings)
    module = small_module(kind, dropout=0.3, learning_rate=2e-3, generate_during_fit=False)
    data = SummarizationDataModule(**files, batch_size=batch_size, num_workers=num_workers)  # type: ignore[arg-type]
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)


def saver(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(dirpath=folder, every_n_train_steps=1, save_top_k=-1, filename="{step}")


# Five batches an epoch; two of them a step leave one over, which is a step of its own.
RUNS: dict[str, dict[str, Any]] = {
    "max_epochs": {"max_epochs": 3},
    "max_steps": {"max_steps": 12},
    "both, epochs end it": {"max_epochs": 2, "max_steps": 100},
    "both, steps end it": {"max_epochs": 9, "max_steps": 12},
    "a remainder": {"max_epochs": 3, "accumulate_grad_batches": 2},
    "a remainder and steps": {"max_epochs": 9, "max_steps": 8, "accumulate_grad_batches": 2},
    "validation in mid-epoch": {"max_epochs": 2, "val_check_interval": 2},
    "a limited epoch": {"max_epochs": 3, "limit_train_batches": 3},
}


def _starts(num_steps: int, steps_an_epoch: int, *, is_limited: bool) -> list[int]:
    """The first step, the last and the first around an epoch's end, and one in the second epoch."""
    ends = [steps_an_epoch] if not is_limited else []  # the sampler does not know of an end that a limit makes
    return [step for step in sorted({1, steps_an_epoch - 1, *ends, steps_an_epoch + 2}) if step < num_steps]


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS.keys())
def test_a_resume_goes_on_with_the_very_next_rows(
    kind: str, settings: dict[str, Any], files: dict[str, str], tmp_path: Path
) -> None:
    """Rows, losses and learning rates agree to the bit, dropout on."""
    whole, folder = Tape(), tmp_path / "saved"
    fit(files, kind, whole, callbacks=(saver(folder),), **settings)
    accumulated = settings.get("accumulate_grad_batches", 1)
    an_epoch = min(5, settings.get("limit_train_batches", 5))
    steps_an_epoch = -(-an_epoch // accumulated)
    for num_steps in _starts(len(whole.steps), steps_an_epoch, is_limited=an_epoch < 5):
        resumed = Tape()
        torch.rand(1000)  # the generators are elsewhere when a new process starts
        fit(files, kind, resumed, ckpt_path=folder / f"step={num_steps}.ckpt", **settings)
        num_batches = num_steps // steps_an_epoch * an_epoch + num_steps % steps_an_epoch * accumulated
        assert resumed.rows == whole.rows[num_batches:], num_steps
        assert resumed.steps == whole.steps[num_steps:], num_steps


def test_a_resume_with_loader_processes_goes_on_with_the_very_next_rows(
    kind: str, files: dict[str, str], tmp_path: Path
) -> None:
    """The workers have read ahead when the checkpoint is written."""
    whole, resumed, folder = Tape(), Tape(), tmp_path / "saved"
    fit(files, kind, whole, callbacks=(saver(folder),), num_workers=2, max_epochs=2)
    fit(files, kind, resumed, ckpt_path=folder / "step=3.ckpt", num_workers=2, max_epochs=2)
    assert resumed.rows == whole.rows[3:]
    assert resumed.steps == whole.steps[3:]


@pytest.mark.parametrize("settings", [{"max_epochs": 2}, {"max_steps": 10}], ids=str)
def test_a_resume_with_other_rows_or_batches_is_refused(
    settings: dict[str, Any],
    files: dict[str, str],
    tmp_path: Path,
    cut_demo: Callable[[int, int], dict[str, str]],
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
