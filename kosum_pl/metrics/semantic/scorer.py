"""Semantic scores of a split, row by row.

In: predictions with references. Out: `bertscore_precision`, `bertscore_recall`,
`bertscore_f1` and `similarity`, all on the 0-1 scale of their fields. Rows are scored when all of them are there, as
IDF asks for all references and batches of like length are made from many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from kosum_pl.metrics.ranks import gather, rank_of
from kosum_pl.metrics.semantic.bertscore import BertScorer
from kosum_pl.metrics.semantic.settings import SemanticSettings
from kosum_pl.metrics.semantic.similarity import SimilarityScorer


class SemanticScorer:
    """Scores of every row of a split, by encoders that no module owns."""

    def __init__(self, settings: SemanticSettings, *, multi_reference: Literal["mean", "max"] = "mean") -> None:
        self.scorers: list[BertScorer | SimilarityScorer] = []
        if settings.bertscore is not None:
            self.scorers.append(BertScorer(settings.bertscore, multi_reference=multi_reference))
        if settings.similarity is not None:
            self.scorers.append(SimilarityScorer(settings.similarity, multi_reference=multi_reference))

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
        """Scores of all N rows, (N, K), on every rank; each rank embeds its share of them.

        Every rank gives the same predictions. An empty one scores 0; without references a score is NaN.
        """
        scores = np.full((len(predictions), len(self.names)), np.nan)
        measured = [row for row, texts in enumerate(references) if any(text.strip() for text in texts)]
        chosen = [predictions[row] for row in measured], [references[row] for row in measured]
        if not self.scorers or not measured:
            return scores
        rank, num_ranks = rank_of()
        share = range(rank, len(measured), num_ranks)
        parts = [scorer.score(*chosen, rows=share, device=device) for scorer in self.scorers]
        for rank, part in enumerate(gather(np.concatenate(parts, axis=1))):
            scores[measured[rank::num_ranks]] = part
        return scores

    def record(self) -> dict[str, str]:
        """What must stand beside the scores for them to mean something."""
        return {name: value for scorer in self.scorers for name, value in scorer.record().items()}
