"""How far two samples lie apart, and how far they would lie apart by chance.

In: counts of the same bins in two samples. Out: Jensen-Shannon distance, population stability index, and what both
come to when the same rows are dealt out at random: two small samples of one distribution always differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

PSEUDO_COUNT: Final = 0.5
"""Added to every bin before the population stability index, which is infinite where a bin is empty."""
_MAX_NUMBER_BINS: Final = 10

Floats = NDArray[np.float64]


def js_distance(first: ArrayLike, *, second: ArrayLike) -> Any:
    """Jensen-Shannon distance to base 2 of counts, (..., K): 0 for equal shares, 1 where no bin is filled by both.

    Source:
        Endres and Schindelin, "A new metric for probability distributions" (2003); as
        `scipy.spatial.distance.jensenshannon(p, q, base=2)`.

    Example:
        >>> float(js_distance([1, 1], second=[2, 2])), float(js_distance([3, 0], second=[0, 1]))
        (0.0, 1.0)
    """
    p, q = _shares(first), _shares(second)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.sqrt(np.clip(divergence, 0, 1))


def psi(train: ArrayLike, *, other: ArrayLike) -> Any:
    """Population stability index of counts, (..., K): 0 for equal shares, no upper bound, the same both ways round.

    Less than 0.1 counts as no change, from 0.25 on as a major one.

    Source:
        Siddiqi, "Credit Risk Scorecards" (2006), with the thresholds. Smoothing of empty bins is ours.
    """
    _shares(train), _shares(other)
    p = _shares(np.asarray(train, dtype=np.float64) + PSEUDO_COUNT)
    q = _shares(np.asarray(other, dtype=np.float64) + PSEUDO_COUNT)
    return ((p - q) * np.log(p / q)).sum(axis=-1)


def bin_edges(values: Sequence[float]) -> Floats:
    """Inner edges of at most ten bins with about as many of the values each, (E,); none where all are alike.

    Few different values get a bin each. A value that is an edge belongs to the bin that begins there.

    Example:
        >>> bin_edges([2, 2, 2, 3]).tolist(), bin_edges(range(100)).tolist()[:2]
        ([3.0], [10.0, 20.0])
    """
    if not len(values):
        raise ValueError("there are no values to make bins of; give at least one row")
    numbers = np.asarray(values, dtype=np.float64)
    different = np.unique(numbers)
    if len(different) <= _MAX_NUMBER_BINS:
        each: Floats = different[1:]
        return each
    # Edges that are values of train: none of its bins is empty.
    levels = np.linspace(0, 1, _MAX_NUMBER_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(numbers, levels, method="higher"))
    inner: Floats = edges[edges > different[0]]
    return inner


def count_bins(values: Sequence[float], *, edges: Floats) -> NDArray[np.int64]:
    """How many values each bin has, (E + 1,); the outer bins are open.

    Example:
        >>> count_bins([1, 2, 3, 9], edges=np.array([3.0])).tolist()
        [2, 2]
    """
    bins = np.searchsorted(edges, np.asarray(values, dtype=np.float64), side="right")
    return np.bincount(bins, minlength=len(edges) + 1)


def bin_names(edges: Floats) -> tuple[str, ...]:
    """Names of the bins between edges.

    Example:
        >>> bin_names(np.array([3.0, 7.5]))
        ('< 3', '3 to 7.5', '>= 7.5')
    """
    if not len(edges):
        return ("all",)
    text = [f"{edge:g}" for edge in edges]
    between = [f"{low} to {high}" for low, high in pairwise(text)]
    return (f"< {text[0]}", *between, f">= {text[-1]}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far two samples lie apart, beside what chance alone would do.

    Attributes:
        js: Jensen-Shannon distance, 0 to 1.
        expected_js: Its mean over random deals of the same rows into samples of the same sizes.
        expected_psi: Its mean over the same deals.
        p_value: Share of deals that lie at least as far apart, the observed one counted.
    """

    js: float
    expected_js: float
    psi: float
    expected_psi: float
    p_value: float


def distance(train: ArrayLike, *, other: ArrayLike, num_deals: int = 4999, seed: int = 0) -> Distance:
    """Distances of two samples' counts, (K,) each, with their permutation reference.

    The smallest p-value is 1 / (num_deals + 1).

    Example:
        >>> far = distance([70, 10], other=[5, 35])
        >>> far.p_value, far.js > 5 * far.expected_js
        (0.0002, True)
    """
    first, second = np.asarray(train, dtype=np.int64), np.asarray(other, dtype=np.int64)
    js = float(js_distance(first, second=second))
    pooled = first + second
    # A deal of the pooled rows into two heaps is all a permutation does to counts.
    dealt = np.random.default_rng(seed).multivariate_hypergeometric(
        pooled, int(second.sum()), size=num_deals, method="marginals"
    )
    by_chance = js_distance(pooled - dealt, second=dealt)
    return Distance(
        js=js,
        expected_js=float(by_chance.mean()),
        psi=float(psi(first, other=second)),
        expected_psi=float(psi(pooled - dealt, other=dealt).mean()),
        # Sums of the same shares in another order differ in their last bits.
        p_value=float((1 + np.count_nonzero(by_chance >= js - 1e-9)) / (1 + num_deals)),
    )


def _shares(counts: ArrayLike) -> Floats:
    values = np.asarray(counts, dtype=np.float64)
    totals = values.sum(axis=-1, keepdims=True)
    if values.size == 0 or (values < 0).any() or not (totals > 0).all():
        raise ValueError("a sample is empty or holds negative counts; give counts of at least one row")
    shares: Floats = values / totals
    return shares


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    """Sum of p log2(p / q), (...); a bin that p leaves empty adds nothing."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    total: Floats = (p * np.log2(ratio)).sum(axis=-1)
    return total
