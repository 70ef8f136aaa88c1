"""What a fit does per second: counts and times of optimizer steps, on one rank and on all.

In: when micro-batches start and end, and how much work they are. Out: `Totals`. The meter knows neither a Trainer nor a
device: clocks come from outside, and marks are read when somebody asks.

    wait | batch  wait  batch | wait | batch  wait  batch | wait …
         └──── one step ─────┘      └──── one step ─────┘

A host that gives work to a device runs ahead of it, so that its clock measures how fast work is given. CUDA events are
recorded between the kernels without waiting, and are read once the device has passed them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Work and time of batches or optimizer steps.

    Attributes:
        num_steps: Optimizer steps.
        rows: Dialogues.
        real_tokens: Tokens that are text: of the source, and of a Seq2Seq model's target.
        padded_tokens: Elements of the padded tensors, `real_tokens` among them: what the device computes.
        supervised_tokens: Tokens that are learnt.
        flops: Floating-point operations of their training, 0 where nobody knows.
        wall_seconds: Steps and waiting together; pauses are in neither.
        wait_seconds: Between batches.

    Example:
        >>> one = Totals(rows=2, real_tokens=9, padded_tokens=12, supervised_tokens=4)
        >>> (one + one).real_tokens, one.padding_ratio
        (18, 0.25)
    """

    num_steps: int = 0
    rows: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    supervised_tokens: int = 0
    flops: int = 0
    wall_seconds: float = 0.0
    wait_seconds: float = 0.0

    def __add__(self, other: Totals) -> Totals:
        return Totals(**{name: getattr(self, name) + getattr(other, name) for name in TOTALS})

    @property
    def padding_ratio(self) -> float:
        """Share of the padded tokens that are padding; 0 where there are none."""
        return 1 - self.real_tokens / self.padded_tokens if self.padded_tokens else 0.0


TOTALS = tuple(field.name for field in fields(Totals))


def total_over_ranks(ranks: Sequence[Sequence[float]]) -> Totals:
    """Totals of all ranks: the slowest one's time, since the others wait for it, their mean waiting, else sums.

    Args:
        ranks: The numbers of each rank in the order of `TOTALS`.

    Example:
        >>> total_over_ranks([[2, 4, 90, 100, 9, 0, 2.0, 0.5], [2, 4, 70, 100, 9, 0, 2.5, 1.5]])
        Totals(num_steps=2, rows=8, real_tokens=160, padded_tokens=200, supervised_tokens=18, flops=0,
               wall_seconds=2.5, wait_seconds=1.0)
    """
    columns = dict(zip(TOTALS, zip(*ranks, strict=True), strict=True))
    return Totals(
        num_steps=int(max(columns.pop("num_steps"))),
        wall_seconds=max(columns.pop("wall_seconds")),
        wait_seconds=sum(columns.pop("wait_seconds")) / len(ranks),
        **{name: int(sum(column)) for name, column in columns.items()},
    )


class Timer(Protocol):
    """Marks moments, and reads them later."""

    def mark(self) -> Any:
        """A mark of now; never waits."""

    def wait_for(self, mark: Any) -> None:
        """Return when a mark can be read, and with it all earlier ones."""

    def seconds(self, start: Any, end: Any) -> float:
        """Seconds between two marks that can be read."""


class HostTimer:
    """The host's clock, in seconds since some moment."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.mark = clock

    def wait_for(self, mark: float) -> None:
        """A time can be read at once."""

    def seconds(self, start: float, end: float) -> float:
        """Between two times."""
        return end - start


class CudaTimer:
    """Events in the current stream of the current CUDA device."""

    def mark(self) -> torch.cuda.Event:
        """An event behind all work that was asked for so far."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def wait_for(self, mark: torch.cuda.Event) -> None:
        """Until the device has come to the event."""
        mark.synchronize()

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """The device's time between two events that it has passed."""
        return float(start.elapsed_time(end)) / 1e3


@dataclass(slots=True)
class _Step:
    """Marks of one optimizer step: spans of time as (start, end)."""

    work: Totals = field(default_factory=Totals)
    wait_before: list[tuple[Any, Any]] = field(default_factory=list)
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
        ...     meter.end_batch(Totals(rows=1, real_tokens=50), is_step=is_step)
        >>> totals, step_seconds = meter.collect()
        >>> step_seconds, totals.wait_seconds, totals.wall_seconds, totals.real_tokens
        ([5.0, 0.5], 1.5, 6.0, 150)
    """

    def __init__(self, timer: Timer | None = None, *, warmup_steps: int = 0) -> None:
        self._timer = timer or HostTimer()
        self._num_left_out = warmup_steps
        self._step = _Step()
        self._finished: list[_Step] = []
        self._start: Any = None
        self._last_end: Any = None

    def begin_batch(self) -> None:
        """The computation of a micro-batch starts."""
        self._start = self._timer.mark()
        if self._last_end is not None:
            waits = self._step.waits if self._step.batches else self._step.wait_before
            waits.append((self._last_end, self._start))

    def end_batch(self, work: Totals, *, is_step: bool) -> None:
        """A micro-batch has been computed, and perhaps the optimizer has stepped."""
        self._last_end = self._timer.mark()
        self._step.batches.append((self._start, self._last_end))
        self._step.work += work
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

    def collect(self) -> tuple[Totals, list[float]]:
        """The steps since the last call; on a device, wait for the last of them.

        Returns:
            Their totals, and the seconds of each step from its first micro-batch to the optimizer's step.
        """
        finished, self._finished = self._finished, []
        if finished:
            self._timer.wait_for(finished[-1].batches[-1][1])
        step_seconds = [self._seconds([*step.batches, *step.waits]) for step in finished]
        before = self._seconds(span for step in finished for span in step.wait_before)
        inside = self._seconds(span for step in finished for span in step.waits)
        times = Totals(num_steps=len(finished), wall_seconds=sum(step_seconds) + before, wait_seconds=before + inside)
        return sum((step.work for step in finished), times), step_seconds

    def _seconds(self, spans: Iterable[tuple[Any, Any]]) -> float:
        return sum((self._timer.seconds(start, end) for start, end in spans), 0.0)
