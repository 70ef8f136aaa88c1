"""ROUGE of every candidate of a row against all others: what minimum Bayes risk chooses by.

In: a row's candidates as tokens, and how likely each is. Out: for each its expected ROUGE, if one of the others were
the reference. N-grams are counted once a candidate and compared as arrays; a longest common subsequence is two integer
operations a token. Every pair's score is the one of `rouge_scores`, to the bit.

Source: Kumar and Byrne, "Minimum Bayes-Risk Decoding for Statistical Machine Translation", 2004.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosum_pl.metrics.rouge import lcs_lengths


def pairwise_rouge(candidates: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 of N candidates against each other, (N, N, 3), 0-1; symmetric.

    Example:
        >>> pairwise_rouge([["밥", "을", "먹"], ["밥", "을"], ["잠"]])[0].round(2).tolist()
        [[1.0, 1.0, 1.0], [0.8, 0.67, 0.8], [0.0, 0.0, 0.0]]
    """
    different = list(dict.fromkeys(map(tuple, candidates)))  # samples of one model are often the same
    place = {tokens: number for number, tokens in enumerate(different)}
    rows = [place[tuple(tokens)] for tokens in candidates]
    lengths = np.array([len(tokens) for tokens in different])
    shared = np.stack(
        [
            _shared_counts(different),
            _shared_counts([list(pairwise(tokens)) for tokens in different]),
            _subsequences(different),
        ],
        axis=-1,
    )
    sizes = np.stack([lengths, np.maximum(lengths - 1, 0), lengths], axis=-1)
    scores: NDArray[np.float64] = _f1(shared, sizes)[np.ix_(rows, rows)]
    return scores


def expected_rouge(
    candidates: Sequence[Sequence[str]], *, probabilities: Sequence[float], weights: Sequence[float]
) -> NDArray[np.float64]:
    """Expected weighted ROUGE of N candidates against the others, (N,), 0-1 times the weights' sum.

    Args:
        candidates: Tokens.
        probabilities: Of each candidate; in proportion is enough.
        weights: Of ROUGE-1, ROUGE-2 and ROUGE-L.

    Returns:
        Zeros where there is one candidate alone, or no other has a probability.
    """
    scores = pairwise_rouge(candidates) @ np.asarray(weights, dtype=np.float64)
    mass = np.broadcast_to(np.asarray(probabilities, dtype=np.float64), scores.shape).copy()
    np.fill_diagonal(mass, 0.0)
    total = mass.sum(axis=1)
    expected: NDArray[np.float64] = np.zeros(len(total))
    np.divide((scores * mass).sum(axis=1), total, out=expected, where=total > 0)
    return expected


def _shared_counts(rows: Sequence[Sequence[Hashable]]) -> NDArray[np.int64]:
    """How many elements two rows have in common, each as often as both hold it, (N, N)."""
    numbers: dict[Hashable, int] = {}
    numbered = [[numbers.setdefault(element, len(numbers)) for element in row] for row in rows]
    counts = np.zeros((len(rows), max(1, len(numbers))), dtype=np.int64)
    for row, found in enumerate(numbered):
        np.add.at(counts[row], found, 1)
    return np.stack([np.minimum(counts, own).sum(axis=1) for own in counts])


def _subsequences(rows: Sequence[Sequence[str]]) -> NDArray[np.int64]:
    """Lengths of the longest common subsequences of all pairs, (N, N)."""
    lengths = np.diag([len(row) for row in rows])
    for number, row in enumerate(rows[1:], start=1):
        lengths[number, :number] = lengths[:number, number] = lcs_lengths(row, rows[:number])
    return lengths


def _f1(shared: NDArray[Any], sizes: NDArray[Any]) -> NDArray[np.float64]:
    """F1 of shared counts, (N, N, 3), by the sizes of both sides, (N, 3); rounded as the score of one pair is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = shared / sizes[:, None], shared / sizes[None, :]
        return np.where(shared > 0, 2 * precision * recall / (precision + recall), 0.0)
