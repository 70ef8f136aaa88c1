"""Ends a command within one batch of a signal, with what was done kept.

In: signals, and a Trainer's batches. Out: `Stopped`, raised before the next batch of training or of an evaluation, on
all ranks at once; what an evaluation had generated until then, as a file. What a fit keeps is the affair of its
checkpoint callback, which sees the exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from kosum_pl import signals
from kosum_pl.runs.predictions import write_prediction_rows
from kosum_pl.types import Prediction

PARTIAL_FILE: Final = "predictions.partial.jsonl"
"""What an evaluation had generated when it was stopped: rows as in `predictions.jsonl`, in the order of the input."""


class SignalStop(Callback):
    """Take signals while batches run, and raise `Stopped` before the next one."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on a signal waits for the end of the batch."""
        signals.catch()  # Lightning has taken SIGTERM, which would end the run with exit status 0
        signals.defer(True)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The same, of an evaluation alone; within `fit` nothing changes."""
        if trainer.state.fn != "fit":
            self.on_train_start(trainer, pl_module)

    on_test_start = on_predict_start = on_validation_start

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Raise where a signal has come, to whichever rank."""
        number = signals.received() or 0
        if trainer.world_size > 1:
            largest = trainer.strategy.reduce(torch.tensor(number, device=pl_module.device), reduce_op="max")
            number = int(largest)
        if number:
            signals.note(number)
            signals.check()

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The same."""
        self.on_train_batch_start(trainer, pl_module, batch, batch_idx)

    on_test_batch_start = on_predict_batch_start = on_validation_batch_start

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """All is saved; what comes now may be left in the middle."""
        signals.defer(False)
        signals.check()


def keep_predictions(predictions: Sequence[Prediction], folder: Path, *, has_sources: bool = True) -> str:
    """Write what a stopped evaluation has generated; return the line that says so, empty where it is nothing."""
    if not predictions:
        return ""
    path = folder / PARTIAL_FILE
    write_prediction_rows(predictions, path, has_sources=has_sources)
    return f"{len(predictions):,} summaries were done: {path}"
