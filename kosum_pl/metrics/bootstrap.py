"""Bootstrap intervals: of a mean over rows, of a ratio of sums, and of the difference between two systems.

In: scores of rows, or their numerators and denominators. Out: percentile intervals at 95 %, and for a difference how
likely chance alone explains it. A validation set of a hundred rows moves by several points when other rows are drawn: a
gain is worth a word only with the width of that beside it.

Source: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES: Final = 2000
_BLOCK_CELLS: Final = 4_000_000  # Drawn row numbers in memory at once: 32 MB.
_LEVEL: Final = 0.95
_TAILS: Final = [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean over rows, and between which ends it would lie on other rows of the same kind, in 95 of 100 cases."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much better one system is than another on the same rows.

    Attributes:
        p_value: Two-sided: the share of resamples on the other side of zero, doubled; 1 where nothing differs.
    """

    interval: Interval
    p_value: float

    @property
    def is_distinguishable(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval.low > 0 or self.interval.high < 0


def mean_interval(values: Sequence[float] | NDArray[Any], *, seed: int, num_resamples: int = NUM_RESAMPLES) -> Interval:
    """Mean of the finite scores of N rows, (N,), with its interval.

    Example:
        >>> mean_interval([1.0, 1.0, 1.0], seed=0)
        Interval(mean=1.0, low=1.0, high=1.0)
    """
    rows = _checked(values)
    return _interval(rows, _resampled_means(rows, seed, num_resamples))


def paired_difference(
    values: Sequence[float] | NDArray[Any],
    baseline: Sequence[float] | NDArray[Any],
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
) -> Difference:
    """Mean difference of two systems on the same rows, with its interval; above 0 where `values` are higher.

    Raises:
        ValueError: The lengths differ, there are no rows, or a value is not finite.

    Source:
        Koehn, "Statistical Significance Tests for Machine Translation Evaluation", 2004.

    Example:
        >>> paired_difference([2.0, 3.0, 4.0], [1.0, 2.0, 3.0], seed=0).interval
        Interval(mean=1.0, low=1.0, high=1.0)
    """
    if len(values) != len(baseline):
        raise ValueError(f"bootstrap: {len(values)} values against {len(baseline)} of the baseline; give the same rows")
    rows = _checked(values) - _checked(baseline)
    means = _resampled_means(rows, seed, num_resamples)
    # One is added, as the rows at hand are themselves a resample: chance is never ruled out by drawing too few.
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p_value = min(1.0, 2 * (tail + 1) / (num_resamples + 1))
    return Difference(interval=_interval(rows, means), p_value=p_value)


def ratio_intervals(
    numerators: NDArray[Any], denominators: NDArray[Any], *, seed: int, num_resamples: int = NUM_RESAMPLES
) -> NDArray[np.float64]:
    """Intervals of K ratios of sums over N rows, on the same resamples for all of them.

    Resampling rows' own ratios would give another score's interval: `length_ratio` is characters over characters of all
    rows together. With denominators of 1 it is `mean_interval`, resample for resample.

    Numerators and denominators are (N, K). The resamples depend on the seed and on N alone.

    Returns:
        Lower and upper ends, (K, 2); NaN where there is none, as for fewer than two rows. A resample whose denominators
        sum to 0 measures nothing and is left out.

    Example:
        >>> ratio_intervals(np.array([[2.0], [4.0]]), np.array([[1.0], [2.0]]), seed=0)
        array([[2., 2.]])
    """
    if numerators.ndim != 2 or numerators.shape != denominators.shape:
        raise ValueError(
            f"bootstrap: numerators of shape {numerators.shape} over {denominators.shape}; give (rows, scores) of both"
        )
    num_rows, num_scores = numerators.shape
    ends = np.full((num_scores, 2), np.nan)
    if num_rows < 2 or not num_scores:
        return ends
    # C order: the order in memory decides how a matrix product rounds.
    rows = np.ascontiguousarray(np.hstack([numerators, denominators]), dtype=np.float64)
    sums = np.concatenate([_counts(drawn) @ rows for drawn in _resamples(num_rows, seed, num_resamples)])
    resampled, divisors = sums[:, :num_scores], sums[:, num_scores:]
    ratios = np.divide(resampled, divisors, out=np.full_like(resampled, np.nan), where=divisors != 0)
    is_measured = ~np.isnan(ratios).all(axis=0)
    if is_measured.any():
        ends[is_measured] = np.nanquantile(ratios[:, is_measured], _TAILS, axis=0).T
    return ends


def _checked(values: Sequence[float] | NDArray[Any]) -> NDArray[np.float64]:
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 1 or not len(rows):
        raise ValueError(f"bootstrap: values of shape {rows.shape}; give one score a row, and at least one row")
    if not np.isfinite(rows).all():
        raise ValueError(
            f"bootstrap: row {int(np.flatnonzero(~np.isfinite(rows))[0])} has no finite score; leave it out"
        )
    return rows


def _resamples(num_rows: int, seed: int, num_resamples: int) -> Iterator[NDArray[np.int64]]:
    """Drawn row numbers, (B, N) at a time, so that memory does not grow with the number of resamples."""
    if num_resamples < 1:
        raise ValueError(f"bootstrap: num_resamples is {num_resamples}; give 1 or more, {NUM_RESAMPLES} as a rule")
    draw = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // num_rows)
    for start in range(0, num_resamples, block):
        yield draw.integers(num_rows, size=(min(block, num_resamples - start), num_rows))


def _counts(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each row was drawn, (B, N): summing by one product is far faster than gathering the rows."""
    size, num_rows = drawn.shape
    shifted = drawn + num_rows * np.arange(size)[:, None]
    return np.bincount(shifted.ravel(), minlength=size * num_rows).reshape(size, num_rows).astype(np.float64)


def _resampled_means(rows: NDArray[np.float64], seed: int, num_resamples: int) -> NDArray[np.float64]:
    return np.concatenate([rows[drawn].mean(axis=1) for drawn in _resamples(len(rows), seed, num_resamples)])


def _interval(rows: NDArray[np.float64], means: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(means, _TAILS)
    return Interval(mean=float(rows.mean()), low=float(low), high=float(high))
