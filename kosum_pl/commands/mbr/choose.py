"""What is chosen among the candidates of several runs.

In: candidates by row. Out: a `Choice` a row, which says what every candidate was worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kosum_pl.commands.mbr.sources import Candidate
from kosum_pl.metrics.least_risk import expectations, place_of_best
from kosum_pl.metrics.tokenize import RougeTokenizer
from kosum_pl.types import Prediction


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen for a row.

    Attributes:
        source: Number of the run that the chosen candidate is from.
        expected: Of every candidate of the row its expected ROUGE, 0-100 times the weights.
    """

    prediction: Prediction
    source: int
    expected: tuple[float, ...]


def choose(
    rows: Sequence[Sequence[Candidate]], *, tokenizer: RougeTokenizer, weights: Mapping[str, float]
) -> list[Choice]:
    """Choose a candidate for every row by minimum Bayes risk; of equal ones the one of the earliest run."""
    expected = expectations(
        [[candidate.prediction for candidate in row] for row in rows], tokenizer=tokenizer, weights=weights
    )
    chosen = [(row[place_of_best(values)], tuple(values)) for row, values in zip(rows, expected, strict=True)]
    return [Choice(prediction=best.prediction, source=best.source, expected=values) for best, values in chosen]
