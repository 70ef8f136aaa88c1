"""Minimum Bayes risk: the candidate with the highest expected ROUGE against a row's others.

In: candidates by row. Out: a `Choice` a row. All texts are tokenized in one call, as an analyser takes most of the
time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kosum_pl.commands.mbr.sources import Candidate
from kosum_pl.metrics.expected_rouge import expected_rouge
from kosum_pl.metrics.tokenize import RougeTokenizer
from kosum_pl.types import Prediction

SCORES: Final = ("rouge1", "rouge2", "rougeL")


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
    """Choose a candidate for every row; of equal ones the earliest.

    `weights` are those of `SCORES`; one that is not named weighs nothing.
    """
    texts = [candidate.prediction.text for row in rows for candidate in row]
    tokens = iter(tokenizer.tokenize_batch(texts))
    each = [weights.get(name, 0.0) for name in SCORES]
    choices = []
    for row in rows:
        found = [next(tokens) for _ in row]
        expected = 100 * expected_rouge(found, probabilities=[1.0] * len(row), weights=each)
        # Beyond the last bits, in which the order of adding shows: equal candidates are equally good.
        best = row[int(expected.round(9).argmax())]
        choices.append(Choice(prediction=best.prediction, source=best.source, expected=tuple(expected.tolist())))
    return choices
