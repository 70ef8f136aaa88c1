"""Semantic scores of a split, row by row.

In: predictions with references. Out: `bertscore_precision`, `bertscore_recall`,
`bertscore_f1` and `similarity`, all on the 0-1 scale of their fields. Rows are scored when all of them are there, as
IDF asks for all references and batches of like length are made from many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from kosum_pl.metrics.semantic.bertscore import BertScorer
from kosum_pl.metrics.semantic.embedding import TextEncoder
from kosum_pl.metrics.semantic.settings import SemanticSettings
from kosum_pl.metrics.semantic.similarity import SimilarityScorer


class _Scorer(Protocol):
    """What scores rows by an encoder."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its scores, K of them."""

    @property
    def encoder(self) -> TextEncoder:
        """What embeds."""

    def score(
        self,
        predictions: Sequence[str],
        references: Sequence[Sequence[str]],
        *,
        rows: Sequence[int],
        device: torch.device,
    ) -> NDArray[np.float64]:
        """Scores of some rows, (R, K)."""

    def record(self) -> dict[str, str]:
        """What must stand beside the scores."""


class SemanticScorer:
    """Scores of every row of a split, by encoders that no module owns.

    Args:
        settings: Which scores.
        multi_reference: `mean` or `max` over a row's references.
    """

    def __init__(self, settings: SemanticSettings, *, multi_reference: Literal["mean", "max"] = "mean") -> None:
        self.scorers: list[_Scorer] = []
        if settings.bertscore is not None:
            self.scorers.append(BertScorer(**asdict(settings.bertscore), multi_reference=multi_reference))
        if settings.similarity is not None:
            self.scorers.append(SimilarityScorer(**asdict(settings.similarity), multi_reference=multi_reference))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the K scores."""
        return tuple(name for scorer in self.scorers for name in scorer.names)

    def check(self) -> None:
        """Whether all encoders are there, without loading weights.

        Raises:
            ValueError: One is not, or what reads it is not installed.
        """
        for scorer in self.scorers:
            scorer.encoder.check()

    def score(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]], *, device: torch.device
    ) -> NDArray[np.float64]:
        """Scores of all rows, (N, K), on every rank; each rank embeds its share of them.

        Args:
            predictions: One text for each of the N rows, the same on all ranks; an empty one scores 0.
            references: One or more texts a row, perhaps none, whose scores are NaN.
            device: Where the encoders run.

        Raises:
            ValueError: An encoder, or the package that reads it, cannot be loaded.
        """
        scores = np.full((len(predictions), len(self.names)), np.nan)
        measured = [row for row, texts in enumerate(references) if any(text.strip() for text in texts)]
        chosen = [predictions[row] for row in measured], [references[row] for row in measured]
        rank, num_ranks = _rank()
        share = range(rank, len(measured), num_ranks)
        if not self.scorers or not measured:
            return scores
        parts = [scorer.score(*chosen, rows=share, device=device) for scorer in self.scorers]
        for place, part in enumerate(_gather(np.concatenate(parts, axis=1))):
            scores[measured[place::num_ranks]] = part
        return scores

    def record(self) -> dict[str, str]:
        """What must stand beside the scores for them to mean something."""
        return {name: value for scorer in self.scorers for name, value in scorer.record().items()}


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _gather(part: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Every rank's part, in the order of ranks."""
    parts = [part] * _rank()[1]
    if len(parts) > 1:
        torch.distributed.all_gather_object(parts, part)
    return parts
