"""All scores of one evaluation, from the first batch to the end of the epoch.

In: losses and predictions, batch by batch. Out: one flat mapping of full names (`val/rouge_sum`,
`val/rouge_sum/weekday=7`) to floats, the same on every rank, and all predictions in input order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import Metric

from kosum_pl.metrics import SemanticScorer, slice_names
from kosum_pl.metrics.row_scores import RowScores
from kosum_pl.metrics.slice_scores import SliceScores
from kosum_pl.metrics.summary_scores import ScoreSettings, SummaryScores
from kosum_pl.types import Prediction


class TokenMeanLoss(Metric):
    """Mean loss over supervised tokens, nats; exact over batches and ranks."""

    full_state_update = False
    loss_sum: Tensor
    num_tokens: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss_sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("num_tokens", torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, loss_sum: Tensor, num_tokens: int) -> None:
        """Add a batch's summed loss (0-dim) over `num_tokens` supervised tokens."""
        self.loss_sum += loss_sum
        self.num_tokens += num_tokens

    def compute(self) -> Tensor:
        """Mean over all tokens, 0-dim fp64."""
        return self.loss_sum / self.num_tokens


class EvaluationScores(nn.Module):
    """Loss, and all scores of the summaries, over a split and over its slices.

    Args:
        settings: How summaries are scored.
        slices: Profile columns; every value of one is a slice, unless there are more than a dozen of them. `length`
            stands for quartiles of the dialogues' characters over the evaluated rows, where there are 8 or more. None
            for all columns that the rows have, and `length`.
        steps: Post-processing steps, each of which reports how many rows it changed.

    Attributes:
        slice_scores: Scores of the last evaluation's slices; None before the first.
    """

    def __init__(
        self, settings: ScoreSettings, *, slices: Sequence[str] | None = (), steps: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.settings = settings
        self.slices = None if slices is None else tuple(slices)
        self.steps = tuple(steps)
        self.loss = TokenMeanLoss()
        self.summaries = SummaryScores(settings)
        # No nn.Module, so that encoders are in no checkpoint and no optimizer.
        self.semantic = (
            SemanticScorer(settings.semantic, multi_reference=settings.multi_reference) if settings.semantic else None
        )
        self.slice_scores: SliceScores | None = None
        self._predictions: list[tuple[int, Prediction]] = []

    def update_loss(self, loss_sum: Tensor, *, num_tokens: int) -> None:
        """Add a batch's loss: a sum over `num_tokens` supervised tokens, nats."""
        self.loss.update(loss_sum, num_tokens)

    def update(self, rows: Sequence[int], predictions: Sequence[Prediction]) -> None:
        """Add a batch's predictions.

        Args:
            rows: Each prediction's place in the input.
            predictions: One for every row.
        """
        self._predictions += zip(rows, predictions, strict=True)
        self.summaries.update(predictions)

    def gather(self) -> list[Prediction]:
        """All ranks' predictions in input order, the same list on every rank."""
        parts = [self._predictions]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            parts = [[] for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(parts, self._predictions)
        return [prediction for _, prediction in sorted((pair for part in parts for pair in part), key=lambda p: p[0])]

    def compute(self, stage: str, predictions: Sequence[Prediction]) -> dict[str, float]:
        """Every score that has a value, by its full name.

        Args:
            stage: `val`, `test` or `predict`.
            predictions: From `gather`; decides what can be scored, alike on all ranks.
        """
        has_references = any(prediction.references for prediction in predictions)
        # Without generation there are no predictions, and the loss is all there is.
        scores: dict[str, Any] = {"loss": self.loss.compute()} if has_references or not predictions else {}
        semantic = self._score_semantics(predictions)
        scores |= self.summaries.compute(predictions)
        if predictions:
            scores |= self._changes(predictions)
        named, _ = slice_names(
            [prediction.profile for prediction in predictions],
            columns=self.slices,
            lengths=[len(prediction.dialogue) for prediction in predictions],
        )
        self.slice_scores = SliceScores(RowScores(self.settings, predictions, semantic=semantic), named)
        scores |= self.slice_scores.flat()
        return {f"{stage}/{name}": float(value) for name, value in scores.items()}

    def _score_semantics(self, predictions: Sequence[Prediction]) -> NDArray[np.float64] | None:
        """Each row's semantic scores, (N, K), on every rank; this rank's share of them is added."""
        if self.semantic is None or not predictions:
            return None
        texts, references = [row.text for row in predictions], [row.references for row in predictions]
        rows = self.semantic.score(texts, references, device=torch.device(self.loss.device))
        self.summaries.update_semantic(self.semantic.share(rows))
        return rows

    def _changes(self, predictions: Sequence[Prediction]) -> dict[str, int]:
        """Rows that each step of post-processing changed, and rows that were generated again."""
        changes = {
            f"changed_rows/{step}": sum(step in prediction.changed_steps for prediction in predictions)
            for step in self.steps
        }
        num_again = sum(prediction.attempts > 1 for prediction in predictions)
        return {**changes, "regenerated_rows": num_again} if num_again else changes

    def record(self) -> dict[str, Any]:
        """What must stand beside the scores for them to mean something."""
        return {**self.summaries.record(), **(self.semantic.record() if self.semantic else {})}

    def reset(self) -> None:
        """Forget everything, before the next evaluation."""
        self._predictions = []
        self.loss.reset()
        self.summaries.reset()
