"""One thing that rows have, compared between train and another split.

In: a value or a number for every row of both splits. Out: counts of the same bins in both, and how far they lie apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from kosum_pl.drift.divergence import Distance, bin_edges, bin_names, count_bins, distance
from kosum_pl.types import natural_key

OTHER_VALUES: Final = "(others)"
"""Name of all values beyond the most frequent ones."""

_MISSING: Final = "(none)"
_MAX_VALUES: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Where the numbers of a split lie: quarter, median, three quarters, and mean."""

    lower: float
    median: float
    upper: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One thing that rows have, compared between two splits.

    Attributes:
        name: A profile column, `characters`, `prompt tokens`, `turns`, `speakers`, `summary characters`.
        kind: Values that are names, or numbers in bins.
        bins: Names of the K values or bins.
        train: Rows of train in each.
        other: Rows of the other split in each.
        spreads: Of train and of the other split, where these are numbers.
        new_share: Share of the other split's rows whose value train never has, above what chance does.
        is_real: Whether chance does not explain it and it is large enough for a word.
    """

    name: str
    kind: Literal["category", "number"]
    bins: tuple[str, ...]
    train: tuple[int, ...]
    other: tuple[int, ...]
    distance: Distance
    spreads: tuple[Spread, Spread] | None = None
    new_share: float = 0.0
    is_real: bool = False


def is_free_text(values: Sequence[str]) -> bool:
    """Whether a column holds free text or ids: more than half as many values as rows, and more than thirty.

    Example:
        >>> is_free_text([str(number) for number in range(40)]), is_free_text(["7", "1"] * 20)
        (True, False)
    """
    filled = [value for value in values if value]
    return len(set(filled)) > max(_MAX_VALUES, len(filled) / 2)


def category_feature(train: Sequence[str], *, other: Sequence[str], name: str, seed: int = 0) -> Feature:
    """Compare values that are names, a value for every row; all but the thirty most frequent ones count as one."""
    counts = [Counter(value or _MISSING for value in values) for values in (train, other)]
    pooled = counts[0] + counts[1]
    kept = sorted(pooled, key=lambda value: (-pooled[value], value))[:_MAX_VALUES]
    bins = [*sorted(kept, key=natural_key), *([OTHER_VALUES] if len(pooled) > len(kept) else [])]
    rows = [[count[value] for value in bins if value != OTHER_VALUES] for count in counts]
    if len(pooled) > len(kept):
        for row, count in zip(rows, counts, strict=True):
            row.append(count.total() - sum(row))
    num_new = sum(count for value, count in counts[1].items() if not counts[0][value])
    share = len(other) / (len(train) + len(other))
    # A value of m rows lies in the other split alone by chance with about its share to the m-th power.
    by_chance = sum(count * share**count for count in pooled.values())
    return Feature(
        name=name,
        kind="category",
        bins=tuple(bins),
        train=tuple(rows[0]),
        other=tuple(rows[1]),
        distance=distance(rows[0], other=rows[1], seed=seed),
        new_share=max(0.0, (num_new - by_chance) / len(other)),
    )


def number_feature(train: Sequence[float], *, other: Sequence[float], name: str, seed: int = 0) -> Feature:
    """Compare numbers, one for every row, in bins of about a tenth of train each."""
    edges = bin_edges(train)
    rows = [count_bins(values, edges=edges).tolist() for values in (train, other)]
    return Feature(
        name=name,
        kind="number",
        bins=bin_names(edges),
        train=tuple(rows[0]),
        other=tuple(rows[1]),
        distance=distance(rows[0], other=rows[1], seed=seed),
        spreads=(_spread(train), _spread(other)),
    )


def _spread(values: Sequence[float]) -> Spread:
    lower, median, upper = (float(value) for value in np.quantile(np.asarray(values), [0.25, 0.5, 0.75]))
    return Spread(lower=lower, median=median, upper=upper, mean=float(np.mean(values)))
