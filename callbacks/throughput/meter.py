"""Steps per second, and what they wait for, from moments and counts.

In: when micro-batches start and end, and what they held. Out: an `Interval` with counts, step times and waiting times
apart. It knows neither a Trainer nor a device: clocks come from outside, and marks are read when somebody asks.

    wait | batch  wait  batch | wait | batch  wait  batch | wait …
         └──── one step ─────┘      └──── one step ─────┘
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .batch_counts import BatchCounts
from .timers import HostTimer, Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Measured optimizer steps.

    Attributes:
        counts: What they held.
        step_seconds: Of each step, from its first micro-batch to the optimizer's step.
        wait_seconds: Between batches, in all steps together.
        wall_seconds: Steps and waiting together; pauses are in none of these.
    """

    counts: BatchCounts = field(default_factory=BatchCounts)
    step_seconds: tuple[float, ...] = ()
    wait_seconds: float = 0.0
    wall_seconds: float = 0.0

    def __add__(self, other: Interval) -> Interval:
        return Interval(
            counts=self.counts + other.counts,
            step_seconds=self.step_seconds + other.step_seconds,
            wait_seconds=self.wait_seconds + other.wait_seconds,
            wall_seconds=self.wall_seconds + other.wall_seconds,
        )

    @property
    def num_steps(self) -> int:
        """Optimizer steps that were measured."""
        return len(self.step_seconds)


@dataclass(slots=True)
class _Step:
    """Marks of one optimizer step."""

    counts: BatchCounts = field(default_factory=BatchCounts)
    wait_before: tuple[Any, Any] | None = None
    batches: list[tuple[Any, Any]] = field(default_factory=list)
    waits: list[tuple[Any, Any]] = field(default_factory=list)


class StepMeter:
    """Collects the marks of optimizer steps.

    Args:
        timer: Makes the marks, and reads them.
        warmup_steps: First optimizer steps that are left out, with the waiting before them.

    Example:
        >>> meter = StepMeter(HostTimer(iter([0.0, 2.0, 3.0, 5.0, 5.5, 6.0]).__next__))
        >>> for is_step in (False, True, True):
        ...     meter.begin_batch()
        ...     meter.end_batch(BatchCounts(rows=1, real_tokens=50), is_step=is_step)
        >>> interval = meter.collect()
        >>> interval.step_seconds, interval.wait_seconds, interval.wall_seconds, interval.counts.real_tokens
        ((5.0, 0.5), 1.5, 6.0, 150)
    """

    def __init__(self, timer: Timer | None = None, *, warmup_steps: int = 0) -> None:
        self._timer = timer or HostTimer()
        self._num_left_out = warmup_steps
        self._step = _Step()
        self._finished: list[_Step] = []
        self._start: Any = None
        self._last_end: Any = None

    def begin_batch(self) -> None:
        """A micro-batch is there, and its computation starts."""
        self._start = self._timer.mark()
        if self._last_end is None:
            return
        wait = (self._last_end, self._start)
        if self._step.batches:
            self._step.waits.append(wait)
        else:
            self._step.wait_before = wait

    def end_batch(self, counts: BatchCounts, *, is_step: bool) -> None:
        """A micro-batch has been computed.

        Args:
            counts: What it held.
            is_step: Whether the optimizer stepped.
        """
        self._last_end = self._timer.mark()
        self._step.batches.append((self._start, self._last_end))
        self._step.counts += counts
        if not is_step:
            return
        if self._num_left_out > 0:
            self._num_left_out -= 1
        else:
            self._finished.append(self._step)
        self._step = _Step()

    def pause(self) -> None:
        """Something else than training takes place until the next batch begins: that gap is not measured."""
        self._last_end = None

    def collect(self) -> Interval:
        """The steps since the last call; on a device, wait for the last of them."""
        finished, self._finished = self._finished, []
        if finished:
            self._timer.wait_for(finished[-1].batches[-1][1])
        counts = BatchCounts()
        for step in finished:
            counts += step.counts
        step_seconds = tuple(self._seconds([*step.batches, *step.waits]) for step in finished)
        before = self._seconds(step.wait_before for step in finished if step.wait_before is not None)
        inside = self._seconds(wait for step in finished for wait in step.waits)
        return Interval(
            counts=counts,
            step_seconds=step_seconds,
            wait_seconds=before + inside,
            wall_seconds=sum(step_seconds) + before,
        )

    def _seconds(self, spans: Iterable[tuple[Any, Any]]) -> float:
        return sum((self._timer.seconds(start, end) for start, end in spans), 0.0)


def step_percentiles(step_seconds: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile of step times in milliseconds, linear between neighbours.

    Example:
        >>> step_percentiles([0.1, 0.2, 0.3])
        (200.0, 290.0)
    """
    median, high = np.percentile(np.asarray(step_seconds) * 1e3, (50, 95))
    return round(float(median), 9), round(float(high), 9)
