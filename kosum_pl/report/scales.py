"""From numbers to places on a plot, and which numbers stand at its axes.

In: the ends of what is shown. Out: ticks that people can read, and pixels. Pure functions, so that a test can say where
a point must lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_STEPS: Final = (1, 2, 2.5, 5, 10)
Point = tuple[float, float]


def nice_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about `count` of them.

    Example:
        >>> nice_ticks(0.3, 9.2)
        [0.0, 2.5, 5.0, 7.5, 10.0]
        >>> nice_ticks(7, 7)
        [6.0, 6.5, 7.0, 7.5, 8.0]
    """
    if high <= low:
        margin = abs(low) / 7 or 1.0
        low, high = low - margin, low + margin
    rough = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in _STEPS if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten around what is shown, with 2 and 5 between them where these would be few.

    Example:
        >>> log_ticks(0.3, 40), log_ticks(0.02, 5000)
        ([0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0], [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0])
    """
    # One more on either side, as a logarithm may be rounded past a whole number.
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    factors = (1, 2, 5) if len(powers) < 7 else (1,)
    ticks = [float(f"{factor}e{power}") for power in powers for factor in factors]
    below = max((tick for tick in ticks if tick <= low), default=ticks[0])
    above = min((tick for tick in ticks if tick >= high), default=ticks[-1])
    return [tick for tick in ticks if below <= tick <= above]


def short_number(value: float) -> str:
    """A number at an axis.

    Example:
        >>> [short_number(value) for value in (0.0, 0.25, 2.0, 1500.0, 20000.0, 3.0e6)]
        ['0', '0.25', '2', '1.5k', '20k', '3M']
    """
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One axis: a range of numbers laid over a range of pixels.

    Attributes:
        low: Number at `start`.
        high: Number at `end`.
        start: Pixel.
        end: Pixel; below `start` for an axis that points up.
        is_log: Whether equal factors are equally long.

    Example:
        >>> Scale(low=0, high=10, start=100, end=0)(2.5), Scale(low=1, high=100, start=0, end=50, is_log=True)(10)
        (75.0, 25.0)
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a number; what lies outside is put at the nearer end."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.is_log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def thin(points: Sequence[Point], *, max_points: int = 400) -> list[Point]:
    """At most so many points, in order of x, that look the same: of each stretch the lowest and the highest.

    Example:
        >>> thin([(x, 9.0 if x == 5 else 0.0) for x in range(10)], max_points=4)
        [(0, 0.0), (5, 9.0), (6, 0.0)]
    """
    if len(points) <= max_points:
        return list(points)
    num_bins = max(1, max_points // 2)
    kept = []
    for number in range(num_bins):
        part = points[number * len(points) // num_bins : (number + 1) * len(points) // num_bins]
        ends = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept
