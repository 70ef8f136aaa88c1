"""Intervals of scores that are one sum over rows divided by another.

In: every row's numerators and denominators. Out: percentile intervals of the ratios. `length_ratio` is characters over
characters of all rows together, `tag_recall` a mean over the rows that have a tag: resampling rows' own ratios would
give another score's interval. With denominators of 1 it is `bootstrap.mean_interval`, resample for resample.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NUM_RESAMPLES: Final = 2000
_BLOCK_CELLS: Final = 4_000_000  # Drawn row numbers held at once: 32 MB.


def ratio_intervals(
    numerators: NDArray[Any],
    denominators: NDArray[Any],
    *,
    seed: int,
    num_resamples: int = NUM_RESAMPLES,
    level: float = 0.95,
) -> NDArray[np.float64]:
    """Percentile intervals of K ratios of sums over N rows, on the same resamples for all of them.

    A resample whose denominators sum to 0 measures nothing and is left out; fewer than two rows have no interval.

    Args:
        numerators: Each row's, (N, K).
        denominators: Each row's, (N, K).
        seed: Of the resamples; they depend on it and on N alone.
        num_resamples: How often N rows are drawn with replacement.
        level: Share of resampled ratios inside the interval.

    Returns:
        Lower and upper ends, (K, 2); NaN where there is none.

    Raises:
        ValueError: The shapes differ, or `level` or `num_resamples` is out of range.

    Source:
        Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.

    Example:
        >>> ratio_intervals(np.array([[2.0], [4.0]]), np.array([[1.0], [2.0]]), seed=0)
        array([[2., 2.]])
    """
    if numerators.ndim != 2 or numerators.shape != denominators.shape:
        raise ValueError(
            f"bootstrap: numerators of shape {numerators.shape} over {denominators.shape}; give (rows, scores) of both"
        )
    if num_resamples < 1 or not 0 < level < 1:
        raise ValueError(f"bootstrap: {num_resamples} resamples at level {level}; give 1 or more, and a share below 1")
    num_rows, num_scores = numerators.shape
    if num_rows < 2 or not num_scores:
        return np.full((num_scores, 2), np.nan)
    sums = resampled_sums(np.hstack([numerators, denominators]), seed=seed, num_resamples=num_resamples)
    above, below = sums[:, :num_scores], sums[:, num_scores:]
    ratios = np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)
    ends = np.full((num_scores, 2), np.nan)
    measured = ~np.isnan(ratios).all(axis=0)
    if measured.any():
        ends[measured] = np.nanquantile(ratios[:, measured], [(1 - level) / 2, (1 + level) / 2], axis=0).T
    return ends


def resampled_sums(values: NDArray[Any], *, seed: int, num_resamples: int) -> NDArray[np.float64]:
    """Sums over each resample's rows, (R, K); drawn in blocks so that memory does not grow with their number.

    Args:
        values: (N, K), N > 0.
        seed: Of the resamples: row r is `default_rng(seed).integers(N, size=(R, N))[r]`.
        num_resamples: R.
    """
    rows = np.asarray(values, dtype=np.float64)
    num_rows = len(rows)
    draw = np.random.default_rng(seed)
    block = max(1, _BLOCK_CELLS // num_rows)
    parts = []
    for start in range(0, num_resamples, block):
        size = min(block, num_resamples - start)
        drawn = draw.integers(num_rows, size=(size, num_rows)) + num_rows * np.arange(size)[:, None]
        # How often each row was drawn: summing by one product is far faster than gathering the rows.
        counts = np.bincount(drawn.ravel(), minlength=size * num_rows).reshape(size, num_rows)
        parts.append(counts.astype(np.float64) @ rows)
    return np.concatenate(parts)
