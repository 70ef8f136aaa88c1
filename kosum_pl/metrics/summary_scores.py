"""Every score of a set of summaries, side by side.

In: predictions. Out: bare names to numbers, only those that something could be measured for. The same object scores a
split, batch by batch on every rank, and a slice of it, all at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric

from kosum_pl.decode import DEFAULT_LITERALS, Charset
from kosum_pl.metrics import (
    BERTSCORE_NAMES,
    SIMILARITY_NAMES,
    ContaminationMetric,
    OverlapMetric,
    RougeMetric,
    SemanticMetric,
    SemanticSettings,
    SlotRecall,
    SummaryStatistics,
    TagScores,
    TextQuality,
)
from kosum_pl.types import Prediction

SCORE_NAMES = (
    *("rouge1", "rouge2", "rougeL", "rouge_sum", "rouge_mean"),
    *("eos_rate", "length_ratio", "mean_length"),
    *("contamination_rate", "raw_contamination_rate", "broken_rate"),
)
"""Scores that every set of summaries with references has."""


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How summaries are scored.

    Attributes:
        rouge_tokenizer: `kiwi`, `mecab`, `char` or `space`.
        multi_reference: `mean` or `max` over a row's references.
        charset: Characters of Korean text; others count as foreign.
        literals: Strings that are licensed in every row.
        semantic: Scores beyond ROUGE; None for none.
    """

    rouge_tokenizer: str = "kiwi"
    multi_reference: Literal["mean", "max"] = "mean"
    charset: Charset = field(default_factory=Charset)
    literals: tuple[str, ...] = DEFAULT_LITERALS
    semantic: SemanticSettings | None = None

    @property
    def score_names(self) -> tuple[str, ...]:
        """Scores that every set of summaries with references has under these settings."""
        return (*SCORE_NAMES, *(self.semantic.names if self.semantic else ()))


class SummaryScores(nn.Module):
    """ROUGE, endings, lengths, tags, slots, foreign and broken characters of a set of summaries.

    Args:
        settings: How they are scored.
        is_local: This rank has all rows: compute nothing over ranks.
    """

    def __init__(self, settings: ScoreSettings, *, is_local: bool = False) -> None:
        super().__init__()
        self.rouge = RougeMetric(tokenizer=settings.rouge_tokenizer, multi_reference=settings.multi_reference)
        self.statistics = SummaryStatistics()
        self.tags = TagScores()
        self.slots = SlotRecall()
        self.contamination = ContaminationMetric(settings.charset, literals=settings.literals)
        self.raw_contamination = ContaminationMetric(settings.charset, literals=settings.literals, prefix="raw_")
        self.quality = TextQuality()
        wanted = settings.semantic or SemanticSettings(overlap=False)
        self.overlap = OverlapMetric(tokenizer=settings.rouge_tokenizer) if wanted.overlap else None
        self.bertscore = SemanticMetric(BERTSCORE_NAMES) if wanted.bertscore else None
        self.similarity = SemanticMetric(SIMILARITY_NAMES) if wanted.similarity else None
        if is_local:
            for metric in self.metrics:
                # torchmetrics has copied the first into the second already, which is what compute() asks.
                metric.sync_on_compute = metric._to_sync = False

    @property
    def metrics(self) -> list[Metric]:
        """All metrics."""
        return [metric for _, metric in self._named_metrics()]

    def _named_metrics(self) -> list[tuple[str, Metric]]:
        return [(name, metric) for name, metric in self.named_children() if isinstance(metric, Metric)]

    def update(self, predictions: Sequence[Prediction]) -> None:
        """Add rows; those without references count for what needs none."""
        if not predictions:
            return
        texts = [prediction.text for prediction in predictions]
        dialogues = [prediction.dialogue for prediction in predictions]
        self.contamination.update(texts, dialogues)
        self.raw_contamination.update([prediction.raw_text for prediction in predictions], dialogues)
        self.quality.update(texts)
        scored = [prediction for prediction in predictions if prediction.references]
        if not scored:
            return
        texts = [prediction.text for prediction in scored]
        references = [prediction.references for prediction in scored]
        self.rouge.update(texts, references)
        self.statistics.update(texts, references, reached_eos=[prediction.reached_eos for prediction in scored])
        self.tags.update(texts, references)
        self.slots.update(texts, [prediction.slots for prediction in scored])
        if self.overlap is not None:
            self.overlap.update(texts, references)

    @property
    def _semantic(self) -> list[SemanticMetric]:
        return [metric for metric in (self.bertscore, self.similarity) if metric is not None]

    def update_semantic(self, scores: NDArray[np.float64]) -> None:
        """Add rows of `SemanticScorer.score`, (B, K), which no other update does; nothing where none are wanted."""
        for metric in self._semantic:
            metric.update(scores[:, : len(metric.names)])
            scores = scores[:, len(metric.names) :]

    def compute(self, predictions: Sequence[Prediction]) -> dict[str, Tensor]:
        """Scores by bare name.

        Args:
            predictions: All rows of all ranks; they decide what can be scored, alike on every rank.
        """
        scores: dict[str, Tensor] = {}
        scored = [prediction for prediction in predictions if prediction.references]
        if scored:
            scores |= self.rouge.compute() | self.statistics.compute() | self.tags.compute()
            if any(prediction.slots for prediction in scored):
                scores |= self.slots.compute()
            if self.overlap is not None:
                scores |= self.overlap.compute()
            for metric in self._semantic:
                if metric.update_called:
                    scores |= metric.compute()
        if predictions:
            raw = self.raw_contamination.compute()
            scores |= self.contamination.compute() | {"raw_contamination_rate": raw["raw_contamination_rate"]}
            scores |= self.quality.compute()
        return scores

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the S numbers of `row_state`: `statistics.num_rows`, or `rouge.totals.0` of a state with places."""
        return tuple(
            f"{key}.{name}.{place}" if value.ndim else f"{key}.{name}"
            for key, metric in self._named_metrics()
            for name, value in _states(metric).items()
            for place in range(value.numel())
        )

    def row_state(self, prediction: Prediction, semantic: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
        """All metrics' states after one row alone, (S,); the sum over rows is the state after all of them.

        Args:
            prediction: The row; whatever was added before is forgotten.
            semantic: Its row of `SemanticScorer.score`, (1, K); None where it was not measured.
        """
        self.reset()
        self.update([prediction])
        if semantic is not None:
            self.update_semantic(semantic)
        states = [value for metric in self.metrics for value in _states(metric).values()]
        return np.concatenate([value.reshape(-1).cpu().numpy() for value in states])

    def load_state(self, total: NDArray[np.int64]) -> None:
        """Take a sum of row states for what was added.

        Args:
            total: (S,).
        """
        rest = torch.from_numpy(total)
        for metric in self.metrics:
            for name, value in _states(metric).items():
                setattr(metric, name, rest[: value.numel()].reshape(value.shape).to(value.device))
                rest = rest[value.numel() :]
            # Otherwise torchmetrics warns that nothing was added, and remembers what it computed.
            metric._update_count, metric._computed = 1, None

    def record(self) -> dict[str, Any]:
        """What must stand beside the scores for them to mean something."""
        overlap = self.overlap.record() if self.overlap is not None else {}
        return {**self.rouge.record(), **overlap, **self.contamination.record()}

    def reset(self) -> None:
        """Forget all rows."""
        for metric in self.metrics:
            metric.reset()


def _states(metric: Metric) -> dict[str, Tensor]:
    """A metric's states by name; ours are sums, never lists."""
    return {name: value for name, value in metric.metric_state.items() if isinstance(value, Tensor)}
