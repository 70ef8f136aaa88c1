"""Two clocks: the host's, and a CUDA device's own.

In: nothing. Out: marks in time, and the seconds between two of them. A host that gives work to a device runs ahead of
it, so that its clock measures how fast work is given; CUDA events are recorded between the kernels without waiting,
and are read once the device has passed them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch


class Timer(Protocol):
    """Makes marks, and reads them later."""

    def mark(self) -> Any:
        """A mark of now; never waits."""

    def wait_for(self, mark: Any) -> None:
        """Return when a mark can be read, and with it all earlier ones."""

    def seconds(self, start: Any, end: Any) -> float:
        """Seconds between two marks that can be read."""


class HostTimer:
    """The host's clock.

    Args:
        clock: Seconds since some moment.

    Example:
        >>> timer = HostTimer(iter([1.0, 3.5]).__next__)
        >>> timer.seconds(timer.mark(), timer.mark())
        2.5
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock

    def mark(self) -> float:
        """The clock's time."""
        return self._clock()

    def wait_for(self, mark: float) -> None:
        """A time can be read at once."""

    def seconds(self, start: float, end: float) -> float:
        """The difference."""
        return end - start


class CudaTimer:
    """Events in the current stream of the current CUDA device."""

    def mark(self) -> torch.cuda.Event:
        """An event behind all work that was asked for so far."""
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event

    def wait_for(self, mark: torch.cuda.Event) -> None:
        """Wait until the device has come to the event."""
        mark.synchronize()

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Time of the device between two events that it has passed."""
        return float(start.elapsed_time(end)) / 1e3
