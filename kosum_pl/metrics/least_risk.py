"""Minimum Bayes risk: of several candidates of a row the one with the highest expected ROUGE against the others.

In: candidates by row. Out: what is chosen, or every candidate's expectation. All texts are tokenized in one call, as an
analyser takes most of the time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from kosum_pl.decode.candidates import UTILITIES
from kosum_pl.metrics.expected_rouge import expected_rouge
from kosum_pl.metrics.tokenize import RougeTokenizer
from kosum_pl.types import Prediction

# Beyond the last bits, in which the order of adding shows: equal candidates are equally good.
_NUM_DECIMALS: Final = 9


def expectations(
    rows: Sequence[Sequence[Prediction]], *, tokenizer: RougeTokenizer, weights: Mapping[str, float]
) -> list[list[float]]:
    """Expected ROUGE of every candidate, 0-100 times the weights; `weights` are those of `UTILITIES`."""
    tokens = iter(tokenizer.tokenize_batch([candidate.text for row in rows for candidate in row]))
    each = [weights.get(name, 0.0) for name in UTILITIES]
    found = []
    for row in rows:
        texts = [next(tokens) for _ in row]
        expected = 100 * expected_rouge(texts, probabilities=[1.0] * len(row), weights=each)
        found.append([float(value) for value in expected])
    return found


def place_of_best(expected: Sequence[float]) -> int:
    """Where the highest expectation stands; of equal ones the first.

    Example:
        >>> place_of_best([1.0, 3.0, 3.0 + 1e-12])
        1
    """
    rounded = [round(value, _NUM_DECIMALS) for value in expected]
    return rounded.index(max(rounded))


def least_risk(
    rows: Sequence[Sequence[Prediction]], *, tokenizer: RougeTokenizer, weights: Mapping[str, float]
) -> list[Prediction]:
    """The candidate of each row that its others agree with most; of equal ones the first."""
    expected = expectations(rows, tokenizer=tokenizer, weights=weights)
    return [row[place_of_best(values)] for row, values in zip(rows, expected, strict=True)]
