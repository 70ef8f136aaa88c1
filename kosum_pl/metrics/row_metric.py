"""What a score of summaries is: for every row a numerator and a denominator, which add up over any rows.

In: a prediction. Out: pairs of numbers. `ScoreTable` sums them over a split, a slice or a resample and divides, so that
a metric gets scores by slice, intervals and a column of the report without knowing of any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias, runtime_checkable

from kosum_pl.types import Prediction

Pair: TypeAlias = tuple[float, float]

_UNITS: Final = 2**40


@runtime_checkable
class RowMetric(Protocol):
    """One or more scores of summaries; any class with these two members is one, and needs no base class.

    A score is the sum of its numerators over rows divided by the sum of its denominators: `(value, 1)` a row makes a
    mean of values, `(hits, tries)` a share over all rows together, and `(0, 0)` a row that cannot be measured.

    Example:
        >>> class QuestionRate:
        ...     names = ("question_rate",)
        ...
        ...     def row_values(self, prediction):
        ...         return [("?" in prediction.text, 1)]
    """

    @property
    def names(self) -> Sequence[str]:
        """Bare names of the scores, logged as `val/<name>`.

        One such as `typos/missing_space` is a part of another score, and is left out where it is 0.
        """

    def row_values(self, prediction: Prediction) -> Sequence[Pair]:
        """Numerator and denominator of each name; an empty list where the row cannot be measured at all."""


@runtime_checkable
class CorpusMetric(RowMetric, Protocol):
    """A row metric with scores that are more than a sum divided by another, such as BLEU.

    Its `names` are those of its pairs; scores of other names have no interval.
    """

    def corpus_scores(self, sums: Sequence[Pair]) -> Mapping[str, float]:
        """Scores from each pair's sums over rows; nothing where nothing was measured."""


def quotients(names: Sequence[str], sums: Sequence[Pair]) -> dict[str, float]:
    """Sums divided; without scores that were not measured, and without parts that are 0.

    Example:
        >>> quotients(["rate", "rate/han", "absent"], [(1, 4), (0, 4), (0, 0)])
        {'rate': 0.25}
    """
    return {
        name: numerator / denominator
        for name, (numerator, denominator) in zip(names, sums, strict=True)
        if denominator and (numerator or "/" not in name)
    }


def in_units(value: float) -> float:
    """Nearest multiple of 2**-40, as row scores are kept: scores stay the same to the bit from version to version.

    Example:
        >>> in_units(0.5), in_units(1 / 3) == 1 / 3
        (0.5, False)
    """
    return round(value * _UNITS) / _UNITS
