"""Steps whose loss or gradient is NaN or infinite: nothing is learnt from them.

In: rows and losses of an optimizer step's batches, and its gradient norm. Out: the step as it is, or without its
gradients, or an error that names the rows. One such step makes every weight NaN, and a run that goes on is lost without
a word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import torch
from torch import Tensor

from kosum_pl.errors import UsageError

OnNonFinite = Literal["stop", "skip"]
_MOST_SKIPPED: Final = 10
"""Steps that may be left out one after the other: more of them are no accident."""
_MOST_RESCALED: Final = 30
"""The same where fp16's scaler leaves them out: it begins too high by design, and halves its scale each time."""
_NUM_NAMED: Final = 8


class NonFiniteError(UsageError):
    """A step cannot be learnt from; the weights are those of the step before."""


class FiniteGuard:
    """Looks at every optimizer step before it is taken.

    Args:
        on_non_finite: `stop` at the first such step, or `skip` it, at most 10 in a row.

    Attributes:
        skipped: Numbers of the steps that were left out, from 1.
        num_rescaled: Steps that fp16's loss scaling left out by itself.
    """

    def __init__(self, on_non_finite: OnNonFinite = "stop") -> None:
        if on_non_finite not in ("stop", "skip"):
            raise ValueError(f"model.on_non_finite is '{on_non_finite}'; known: stop, skip")
        self._is_skipping = on_non_finite == "skip"
        self.skipped: list[int] = []
        self.num_rescaled = 0
        self._in_a_row = 0
        self._batches: list[tuple[Sequence[int], Tensor]] = []

    def add(self, rows: Sequence[int], loss_sum: Tensor) -> None:
        """Note a batch of the step: its rows, and its loss (0-dim, detached)."""
        self._batches.append((rows, loss_sum))

    def allows(
        self, *, loss: Tensor, norm: Tensor, step: int, is_scaled: bool, name_of: Callable[[int], str] = str
    ) -> bool:
        """Whether the step may be taken; forgets its batches.

        Args:
            loss: The step's mean loss, 0-dim, the same on every rank.
            norm: Norm of its gradients, 0-dim.
            step: Its number, from 1.
            is_scaled: Whether fp16's scaler leaves out steps of infinite gradients, and tries them with a lower scale.
            name_of: The id of a row.

        Raises:
            NonFiniteError: It may not, and such steps stop the run, or too many came one after the other.
        """
        batches, self._batches = self._batches, []
        # The one time a step that the host waits for the device.
        if bool(torch.isfinite(loss) & torch.isfinite(norm)):
            self._in_a_row = 0
            return True
        self._in_a_row += 1
        if is_scaled and bool(torch.isfinite(loss)) and self._in_a_row <= _MOST_RESCALED:
            self.num_rescaled += 1
            return True  # and the scaler does not take it
        if self._is_skipping and self._in_a_row <= _MOST_SKIPPED:
            self.skipped.append(step)
            return False
        raise NonFiniteError(self._message(batches, loss=loss, norm=norm, step=step, name_of=name_of))

    def _message(
        self,
        batches: Sequence[tuple[Sequence[int], Tensor]],
        *,
        loss: Tensor,
        norm: Tensor,
        step: int,
        name_of: Callable[[int], str],
    ) -> str:
        guilty = [rows for rows, each in batches if not torch.isfinite(each)] or [rows for rows, _ in batches]
        names = [name_of(row) for rows in guilty for row in rows]
        more = f" and {len(names) - _NUM_NAMED} more" if len(names) > _NUM_NAMED else ""
        again = f" {self._in_a_row} steps in a row;" if self._in_a_row > 1 else ""
        other = "" if self._is_skipping else ", or leave such steps out with model.on_non_finite=skip"
        return (
            f"step {step:,} cannot be learnt from: the loss is {float(loss):.4g}, the gradient norm {float(norm):.4g} "
            f"(rows {', '.join(names[:_NUM_NAMED])}{more});{again} the weights are those before it: lower "
            f"model.learning_rate, train with trainer.precision bf16-mixed or 32-true, look at these rows{other}"
        )

    def lines(self, *, num_steps: int) -> list[str]:
        """What was left out, for people; nothing where nothing was."""
        found = []
        if self.skipped:
            named = ", ".join(f"{step:,}" for step in self.skipped[:_NUM_NAMED])
            more = ", …" if len(self.skipped) > _NUM_NAMED else ""
            found.append(f"{len(self.skipped):,} of {num_steps:,} steps were not finite and left out: {named}{more}")
        if self.num_rescaled:
            found.append(f"{self.num_rescaled:,} of {num_steps:,} steps were left out by fp16's loss scaling")
        return found
