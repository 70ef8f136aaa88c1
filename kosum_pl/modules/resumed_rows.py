"""The first batch after a resume, held against the order of the epoch.

In: a Trainer, and the rows of a batch. Out: nothing, or a run that stops at once. Loader and loops of a Trainer are
restored apart from each other; where they disagree a run would read rows twice or never, and say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from lightning.pytorch import Trainer

from kosum_pl.errors import UsageError


@runtime_checkable
class KnowsTrainRows(Protocol):
    """A data module that knows the rows of every training batch."""

    def train_rows(self, position: int, *, epoch: int) -> Sequence[int]:
        """Rows of the batch at a position, from 0, of an epoch, from 0."""


def check_rows(trainer: Trainer, rows: Sequence[int], *, position: int) -> None:
    """Compare the rows of a batch with those that stand at its position of the running epoch.

    Of a data module that does not know its rows, or where `overfit_batches` orders them, nothing is compared.

    Raises:
        ValueError: They are others.
    """
    datamodule = getattr(trainer, "datamodule", None)
    if not isinstance(datamodule, KnowsTrainRows) or bool(getattr(trainer, "overfit_batches", False)):
        return
    epoch: int = trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
    if sorted(datamodule.train_rows(position, epoch=epoch)) != sorted(rows):
        raise UsageError(
            f"cannot resume: the rows of batch {position + 1:,} of epoch {epoch + 1:,} are not those of an unbroken "
            "run, as with a checkpoint that was saved after max_steps had ended a fit in mid-epoch; give last.ckpt of "
            "RougeSumCheckpoint, or begin a new run"
        )
