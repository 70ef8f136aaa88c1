"""Batches of an epoch → optimizer steps of a whole run.

In: a Trainer, and how many batches an epoch has. Out: the number of steps at which a schedule ends. It exists because
Lightning's own count, `Trainer.estimated_stepping_batches`, builds the training loader: asked for in
`configure_optimizers`, before a resumed run's loops are restored, it leaves the loader without its saved state, and the
run goes on with other rows.
"""

from __future__ import annotations

import math
from typing import Protocol, runtime_checkable

from lightning.pytorch import Trainer


@runtime_checkable
class CountsTrainBatches(Protocol):
    """A data module that knows the number of its training batches without building a loader."""

    def num_train_batches(self) -> int:
        """Batches that an epoch has on this rank, before any `limit_train_batches`."""


def limited_batches(num_batches: int, *, limit: int | float) -> int:
    """Batches of an epoch that are trained on.

    `limit` is `Trainer.limit_train_batches`, which `overfit_batches` and `fast_dev_run` set too: a number as an int, a
    share from 0.0 to 1.0 as a float.

    Example:
        >>> limited_batches(50, limit=1), limited_batches(50, limit=1.0), limited_batches(50, limit=0.25)
        (1, 50, 12)
    """
    return min(num_batches, limit) if isinstance(limit, int) else int(num_batches * limit)


def count_steps(
    num_batches: int, *, accumulate_grad_batches: int = 1, max_epochs: int = -1, max_steps: int = -1
) -> int | float:
    """Optimizer steps of a whole run, from its start; infinity where nothing ends it.

    The last step of an epoch may have fewer batches. Of two ends the earlier counts; -1 is none.

    Source:
        `estimated_stepping_batches` of lightning.pytorch.Trainer.

    Example:
        >>> count_steps(5, accumulate_grad_batches=2, max_epochs=4), count_steps(5, max_epochs=4, max_steps=7)
        (12, 7)
    """
    limit = math.inf if max_steps == -1 else max_steps
    if max_epochs == -1:
        return limit
    return min(math.ceil(num_batches / accumulate_grad_batches) * max(max_epochs, 1), limit)


def num_training_steps(trainer: Trainer) -> int | float:
    """Optimizer steps of the whole run that a Trainer is about to begin or to resume.

    Args:
        trainer: Inside `fit`, its data set up. Of a data module that cannot count, or of loaders without one,
            Lightning's own count is taken, which builds the loader.
    """
    datamodule = getattr(trainer, "datamodule", None)  # there only once one was attached
    if not isinstance(datamodule, CountsTrainBatches):
        return trainer.estimated_stepping_batches
    return count_steps(
        limited_batches(datamodule.num_train_batches(), limit=trainer.limit_train_batches),
        accumulate_grad_batches=trainer.accumulate_grad_batches,
        max_epochs=-1 if trainer.max_epochs is None else trainer.max_epochs,
        max_steps=trainer.max_steps,
    )
