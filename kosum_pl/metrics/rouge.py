"""ROUGE-1, ROUGE-2 and ROUGE-L F1 over Korean tokens.

In: predictions and one or more references each. Out: `rouge1`, `rouge2`, `rougeL` (0-100), `rouge_sum` (0-300) and
`rouge_mean` (0-100). Equal to the package `rouge_score` with the same tokens; its LCS is a table in Python, here it is
two integer operations a token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from torch import Tensor
from torchmetrics import Metric

from kosum_pl.metrics import sums
from kosum_pl.metrics.tokenize import RougeTokenizer, get_tokenizer

_NAMES: Final = ("rouge1", "rouge2", "rougeL")


def rouge_scores(prediction_tokens: Sequence[str], reference_tokens: Sequence[str]) -> tuple[float, float, float]:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 of one prediction against one reference, each 0-1.

    Args:
        prediction_tokens: Tokens of the prediction, perhaps none.
        reference_tokens: Tokens of the reference, perhaps none.

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
    places: dict[str, int] = {}
    for place, token in enumerate(first):
        places[token] = places.get(token, 0) | 1 << place
    full = (1 << len(first)) - 1
    # A zero bit at place i: the subsequence grows by one when the i-th token is allowed for.
    row = full
    for token in second:
        matches = row & places.get(token, 0)
        row = (row + matches | row - matches) & full
    return len(first) - row.bit_count()


def score_rows(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    tokenizer: RougeTokenizer,
    multi_reference: Literal["mean", "max"] = "mean",
) -> np.ndarray:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1 of every row, (B, 3), 0-1.

    Args:
        predictions: One text a row, perhaps empty, which scores 0.
        references: One or more texts a row.
        tokenizer: From `get_tokenizer`.
        multi_reference: Mean over a row's references (the leaderboard's rule), or for each of the three scores the
            reference that gives the highest (as `rouge_score` does).

    Raises:
        ValueError: The lengths differ, or a row has no reference or an empty one.

    Example:
        >>> score_rows(["밥을 먹었다"], [["밥을 먹었다", "잠을 잤다"]], tokenizer=get_tokenizer("space"))
        array([[0.5, 0.5, 0.5]])
    """
    sums.check_lengths("ROUGE", predictions=predictions, references=references)
    sums.check_references("ROUGE", references)
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


class RougeMetric(Metric):
    """ROUGE of a split: the mean over its rows.

    Args:
        tokenizer: `kiwi`, `mecab`, `char` or `space`.
        multi_reference: `mean` or `max` over a row's references; see `score_rows`.

    Raises:
        ValueError: An unknown tokenizer or rule, or a tokenizer that is not installed.

    Example:
        >>> metric = RougeMetric(tokenizer="space")
        >>> metric.update(["밥을 먹었다"], [["밥을 많이 먹었다"]])
        >>> {name: round(float(value), 1) for name, value in metric.compute().items()}
        {'rouge1': 80.0, 'rouge2': 0.0, 'rougeL': 80.0, 'rouge_sum': 160.0, 'rouge_mean': 53.3}
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    totals: Tensor
    num_rows: Tensor

    def __init__(self, *, tokenizer: str = "kiwi", multi_reference: str = "mean") -> None:
        super().__init__()
        if multi_reference not in ("mean", "max"):
            raise ValueError(f"multi_reference is '{multi_reference}'; write mean or max")
        self.tokenizer = get_tokenizer(tokenizer)
        self.multi_reference: Literal["mean", "max"] = "max" if multi_reference == "max" else "mean"
        self.add_state("totals", default=sums.zeros(len(_NAMES)), dist_reduce_fx="sum")
        self.add_state("num_rows", default=sums.zeros(), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Add rows.

        Args:
            predictions: One text a row.
            references: One or more texts a row.

        Raises:
            ValueError: The lengths differ, or a row has no reference or an empty one.
        """
        self.update_scores(
            score_rows(predictions, references, tokenizer=self.tokenizer, multi_reference=self.multi_reference)
        )

    def update_scores(self, scores: np.ndarray) -> None:
        """Add rows whose scores are known, (B, 3), from `score_rows` with this metric's settings."""
        units = [sum(map(sums.to_units, column)) for column in scores.T.tolist()]
        # Not in place: a state made under inference mode could not be changed outside it.
        self.totals = self.totals + self.totals.new_tensor(units)
        self.num_rows = self.num_rows + len(scores)

    def compute(self) -> dict[str, Tensor]:
        """Scores by name, 0-dim float64.

        Raises:
            ValueError: No rows were added.
        """
        num_rows = sums.check_rows("ROUGE", self.num_rows)
        values = 100 * sums.from_units(self.totals) / num_rows
        scores = dict(zip(_NAMES, values, strict=True))
        return {**scores, "rouge_sum": values.sum(), "rouge_mean": values.mean()}

    def record(self) -> dict[str, str]:
        """What must stand beside the scores for them to mean something.

        Example:
            >>> RougeMetric(tokenizer="char").record()
            {'rouge_tokenizer': 'char', 'multi_reference': 'mean'}
        """
        return {"rouge_tokenizer": self.tokenizer.label, "multi_reference": self.multi_reference}


def _count_shared(prediction: Iterable[object], reference: Iterable[object]) -> int:
    return (Counter(prediction) & Counter(reference)).total()


def _f1(num_shared: int, num_predicted: int, num_referred: int) -> float:
    if not num_shared:
        return 0.0
    precision, recall = num_shared / num_predicted, num_shared / num_referred
    return 2 * precision * recall / (precision + recall)
