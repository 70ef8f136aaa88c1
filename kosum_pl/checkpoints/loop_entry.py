"""Enters the loop of a resumed fit that has no step left, since something else may be.

In: a Trainer whose fit is about to begin. Out: the same, which does not pass over its loop. Lightning leaves a fit
whose steps or epochs are complete at once, and with it the validation after the last step, and whatever a callback does
at the end of training.
"""

from __future__ import annotations

from lightning.pytorch import Trainer


class LoopEntry:
    """Limits of a fit that are one higher for as long as it takes to enter the loop; no step is made under them."""

    def __init__(self) -> None:
        self._limits: tuple[int | None, int] | None = None

    def open(self, trainer: Trainer) -> None:
        """Raise the limits, where there are any; to be called before the loop begins."""
        loop = trainer.fit_loop
        self._limits = loop.max_epochs, loop.epoch_loop.max_steps
        if loop.max_epochs is not None and loop.max_epochs >= 0:
            loop.max_epochs += 1
        if loop.epoch_loop.max_steps >= 0:
            loop.epoch_loop.max_steps += 1

    def close(self, trainer: Trainer) -> None:
        """Put them back, once."""
        if self._limits is not None:
            trainer.fit_loop.max_epochs, trainer.fit_loop.epoch_loop.max_steps = self._limits
            self._limits = None
