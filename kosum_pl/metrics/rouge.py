"""ROUGE-1, ROUGE-2 and ROUGE-L F1 over Korean tokens.

In: predictions and one or more references each. Out: `rouge1`, `rouge2`, `rougeL` (0-100), `rouge_sum` (0-300) and
`rouge_mean` (0-100). Equal to the package `rouge_score` with the same tokens; its LCS is a table in Python, here it is
two integer operations a token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from kosum_pl.metrics.row_metric import Pair, in_units, quotients
from kosum_pl.metrics.tokenize import RougeTokenizer
from kosum_pl.types import Prediction


def rouge_scores(prediction_tokens: Sequence[str], reference_tokens: Sequence[str]) -> tuple[float, float, float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 of one prediction against one reference, each 0-1.

    Source:
        Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004; the arithmetic of `rouge_score` 0.1.2.

    Example:
        >>> rouge_scores("밥 을 먹 었 다".split(), "밥 을 먹 는 다".split())
        (0.8000000000000002, 0.5, 0.8000000000000002)
    """
    lengths = len(prediction_tokens), len(reference_tokens)
    unigrams = _count_shared(prediction_tokens, reference_tokens)
    bigrams = _count_shared(pairwise(prediction_tokens), pairwise(reference_tokens))
    subsequence = lcs_length(prediction_tokens, reference_tokens)
    return (
        _f1(unigrams, *lengths),
        _f1(bigrams, lengths[0] - 1, lengths[1] - 1),
        _f1(subsequence, *lengths),
    )


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, by bit vectors in Python's long integers.

    Source:
        Hyyrö, "Bit-parallel LCS-length computation revisited", 2004.

    Example:
        >>> lcs_length("abcde", "badce")
        3
    """
    return lcs_lengths(first, [second])[0]


def lcs_lengths(first: Sequence[str], others: Sequence[Sequence[str]]) -> list[int]:
    """The same against several, for whom the first is looked through once."""
    positions: dict[str, int] = {}
    for position, token in enumerate(first):
        positions[token] = positions.get(token, 0) | 1 << position
    full = (1 << len(first)) - 1
    lengths = []
    for second in others:
        # A zero bit at position i: the subsequence grows by one when the i-th token is allowed for.
        row = full
        for token in second:
            if matches := row & positions.get(token, 0):
                row = (row + matches | row - matches) & full
        lengths.append(len(first) - row.bit_count())
    return lengths


def score_rows(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenizer: RougeTokenizer,
    multi_reference: Literal["mean", "max"] = "mean",
) -> np.ndarray:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 of every row, (B, 3), 0-1; an empty prediction scores 0.

    `multi_reference` is the mean over a row's references (the leaderboard's rule), or for each of the three scores the
    reference that gives the highest (as `rouge_score` does).

    Raises:
        ValueError: The lengths differ, or a row has no reference or an empty one.

    Example:
        >>> from kosum_pl.metrics.tokenize import get_tokenizer
        >>> score_rows(["밥을 먹었다"], [["밥을 먹었다", "잠을 잤다"]], tokenizer=get_tokenizer("space"))
        array([[0.5, 0.5, 0.5]])
    """
    _check(predictions, references)
    flat = [text for texts in references for text in texts]
    # One call for all texts: an analyser spreads them over threads.
    tokens = tokenizer.tokenize_batch([*predictions, *flat])
    rest = iter(tokens[len(predictions) :])
    scores = np.zeros((len(predictions), 3))
    for row, prediction in enumerate(tokens[: len(predictions)]):
        against = [next(rest) for _ in references[row]]
        if not all(against):
            raise ValueError(f"ROUGE: reference {against.index([])} of row {row} is empty; leave it out")
        each = np.array([rouge_scores(prediction, reference) for reference in against])
        scores[row] = each.max(axis=0) if multi_reference == "max" else each.mean(axis=0)
    return scores


class Rouge:
    """ROUGE of rows as a `RowMetric`: means over rows, and the sum and mean of the three means.

    Raises:
        ValueError: `multi_reference` is neither `mean` nor `max`.
    """

    names = ("rouge1", "rouge2", "rougeL", "rouge_sum", "rouge_mean")

    def __init__(self, tokenizer: RougeTokenizer, *, multi_reference: Literal["mean", "max"] = "mean") -> None:
        if multi_reference not in ("mean", "max"):
            raise ValueError(f"multi_reference is '{multi_reference}'; write mean or max")
        self.tokenizer, self.multi_reference = tokenizer, multi_reference

    def row_values(self, prediction: Prediction) -> list[Pair]:
        """Scores of a row with references, 0-100 each and 0-300."""
        if not prediction.references:
            return []
        (scores,) = score_rows(
            [prediction.text],
            [prediction.references],
            tokenizer=self.tokenizer,
            multi_reference=self.multi_reference,
        ).tolist()
        each = [in_units(score) for score in scores]
        return [(value, 1) for value in (*(100 * score for score in each), 100 * sum(each), 100 / 3 * sum(each))]

    def corpus_scores(self, sums: Sequence[Pair]) -> dict[str, float]:
        """Means over rows; `rouge_sum` adds those of the three, so that what is shown adds up."""
        scores = quotients(self.names[:3], sums[:3])
        total = sum(scores.values())
        return {**scores, "rouge_sum": total, "rouge_mean": total / 3} if scores else {}


def _check(predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Check that there are one text and a list of references a row, none of them without any."""
    for column, values in (("predictions", predictions), ("references", references)):
        if isinstance(values, str):
            raise ValueError(f"ROUGE: {column} is str; give a list with one entry a row")
    if len(predictions) != len(references):
        raise ValueError(
            f"ROUGE got {len(predictions)} predictions, {len(references)} references; give one of each a row"
        )
    for row, texts in enumerate(references):
        if isinstance(texts, str):
            raise ValueError(f"ROUGE: references of row {row} are a bare text; give a list of texts a row")
        if not any(text.strip() for text in texts):
            raise ValueError(f"ROUGE: row {row} has no reference; leave it out, as nothing can be measured on it")


def _count_shared(prediction: Iterable[object], reference: Iterable[object]) -> int:
    return (Counter(prediction) & Counter(reference)).total()


def _f1(num_shared: int, num_predicted: int, num_referred: int) -> float:
    if not num_shared:
        return 0.0
    precision, recall = num_shared / num_predicted, num_shared / num_referred
    return 2 * precision * recall / (precision + recall)
