"""How a run's norms and losses went: spikes, unrest, growth, and whether the loss fell.

In: a `NormRecord`. Out: the few facts that advice is made of, as plain numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .record import NormRecord

Norms = NDArray[np.float64]
_STALL: Final = 0.95  # share of the loss that is left, between the first and the last quarter after warm-up
_FALL: Final = 0.75
_RISE: Final = 1.1
_RISE_OF_GAIN: Final = 0.25
_RISE_IN_ERRORS: Final = 4.0  # the best part is the luckiest of five
_UNSTEADY_FACTOR: Final = 2.0
_UNSTEADY_SHARE: Final = 0.02
_SPIKE_SHARE: Final = 0.003  # fewer spikes than this are accidents of single batches
_MIN_LOSSES: Final = 16


@dataclass(frozen=True, kw_only=True)
class GradShape:
    """Facts about a run of finite norms.

    Attributes:
        norms: All finite norms, in order.
        steady: Those after warm-up.
        last_step: The run's last step, finite or not.
        spike_steps: Steps with a finite norm that stands out.
        early_end: Last step that is within or right after the warm-up.
        num_late_spikes: Spikes after `early_end`.
        unsteady_share: Of the steps, those with a norm above twice the running median.
        norm_growth: Median norm of the last quarter over that of the first quarter after warm-up.
        loss_left: Mean loss of the last quarter over that of the first quarter after warm-up; NaN without losses.
        best_loss: Lowest mean of any fifth of the run; NaN without losses.
        end_loss: Mean loss of the last fifth; NaN without losses.
        is_diverging: Whether the loss ended well above its best: by a tenth, by a quarter of what had been won, and
            by more than single batches explain.
    """

    norms: Norms
    steady: Norms
    last_step: int
    spike_steps: tuple[int, ...]
    early_end: int
    num_late_spikes: int
    unsteady_share: float
    norm_growth: float
    loss_left: float
    best_loss: float
    end_loss: float
    is_diverging: bool

    @property
    def is_stalled(self) -> bool:
        """Whether the loss has hardly fallen since the warm-up."""
        return self.loss_left > _STALL

    @property
    def is_falling(self) -> bool:
        """Whether the loss has fallen clearly since the warm-up; unknown losses do not fall."""
        return self.loss_left < _FALL

    @property
    def is_unsteady(self) -> bool:
        """Whether norms jump more often than single batches explain."""
        return self.unsteady_share >= _UNSTEADY_SHARE

    @property
    def has_repeated_spikes(self) -> bool:
        """Whether spikes go on after the warm-up."""
        is_often = self.num_late_spikes >= max(2, _SPIKE_SHARE * self.steady.size)
        return is_often or (self.num_late_spikes >= 1 and self.is_unsteady)


def shape_of(record: NormRecord) -> GradShape:
    """The facts about a run; a run without finite norms has empty ones."""
    finite = [step for step in record.steps if math.isfinite(step.norm)]
    warm = record.num_warmup_steps
    after = record.steps[warm:]
    norms = _array([step.norm for step in finite])
    steady = _array([step.norm for step in after if math.isfinite(step.norm)])
    first, last = _quarters(steady)
    losses = _array([step.loss for step in record.steps if step.loss is not None])
    first_loss, last_loss = _quarters(_array([step.loss for step in after if step.loss is not None]))
    has_losses = losses.size >= _MIN_LOSSES and first_loss.size > 0
    spike_steps = tuple(spike.step for spike in record.spikes if math.isfinite(spike.norm))
    early_end = max(math.ceil(1.5 * warm), math.ceil(0.05 * len(record.steps)))
    return GradShape(
        norms=norms,
        steady=steady,
        last_step=record.steps[-1].step if record.steps else 0,
        spike_steps=spike_steps,
        early_end=early_end,
        num_late_spikes=sum(step > early_end for step in spike_steps),
        unsteady_share=_unsteady_share(norms, window=record.window, min_history=record.min_history),
        norm_growth=float(np.median(last) / np.median(first)) if first.size and np.median(first) > 0 else 1.0,
        loss_left=float(last_loss.mean() / first_loss.mean()) if has_losses else math.nan,
        **_trend(losses),
    )


def _trend(losses: Norms) -> dict[str, Any]:
    """Best and last fifth of the losses, and whether the last is truly above the best."""
    if losses.size < _MIN_LOSSES:
        return {"best_loss": math.nan, "end_loss": math.nan, "is_diverging": False}
    fifths = np.array_split(losses, 5)
    means = [float(part.mean()) for part in fifths]
    if not math.isfinite(means[-1]):
        return {"best_loss": float(np.nanmin(means)), "end_loss": means[-1], "is_diverging": True}
    index = int(np.nanargmin(means))
    best, end, won = means[index], means[-1], means[0] - means[index]
    error = math.sqrt(sum(float(part.var()) / part.size for part in (fifths[index], fifths[-1])))
    is_diverging = end - best > max((_RISE - 1) * best, _RISE_OF_GAIN * won, _RISE_IN_ERRORS * error)
    return {"best_loss": best, "end_loss": end, "is_diverging": is_diverging}


def _array(values: list[float]) -> Norms:
    return np.array(values, dtype=np.float64)


def _quarters(values: Norms) -> tuple[Norms, Norms]:
    """The first and the last quarter; empty below eight values."""
    size = values.size // 4
    return (values[:size], values[-size:]) if values.size >= 8 else (values[:0], values[:0])


def _unsteady_share(norms: Norms, *, window: int, min_history: int) -> float:
    """Share of norms above twice the median of the `window` before them."""
    if norms.size <= min_history:
        return 0.0
    padded = np.concatenate([np.full(window, np.nan), norms])
    before = np.lib.stride_tricks.sliding_window_view(padded, window)[min_history : norms.size]
    medians = np.nanmedian(before, axis=1)
    return float(np.mean(norms[min_history:] > _UNSTEADY_FACTOR * medians))
