"""All scores of one evaluation, from the first batch to the end of the epoch.

In: losses and predictions, batch by batch. Out: a `ScoreTable` of all rows in input order, and one flat mapping of full
names (`val/rouge_sum`, `val/rouge_sum/weekday=7`) to floats, the same on every rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from kosum_pl.data.slices import slice_names
from kosum_pl.metrics.ranks import gather
from kosum_pl.metrics.score_table import ScoreTable, encoder_vectors, row_vectors
from kosum_pl.metrics.semantic.scorer import SemanticScorer
from kosum_pl.metrics.settings import Metrics, ScoreSettings
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
        slices: As `model.slices`; `length` needs 8 rows, and None is all columns that the rows have, and `length`.
        steps: Post-processing steps, each of which reports how many rows it changed.

    Attributes:
        semantic: What scores by encoders; None where none is asked for.
        table: Rows and scores of the last evaluation; None before the first.
    """

    def __init__(
        self, settings: ScoreSettings, *, slices: Sequence[str] | None = (), steps: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.settings = settings
        self.slices = None if slices is None else tuple(slices)
        self.steps = tuple(steps)
        self.loss = TokenMeanLoss()
        # No nn.Modules, so that encoders are in no checkpoint and no optimizer.
        self.metrics = Metrics(settings)
        self.semantic = (
            SemanticScorer(settings.semantic, multi_reference=settings.multi_reference) if settings.semantic else None
        )
        self.table: ScoreTable | None = None
        self._predictions: list[tuple[int, Prediction]] = []

    def update_loss(self, loss_sum: Tensor, *, num_tokens: int) -> None:
        """Add a batch's loss: a sum over `num_tokens` supervised tokens, nats."""
        self.loss.update(loss_sum, num_tokens)

    def update(self, rows: Sequence[int], predictions: Sequence[Prediction]) -> None:
        """Add a batch's predictions, each with its row number in the input."""
        self._predictions += zip(rows, predictions, strict=True)

    def predictions_so_far(self) -> list[Prediction]:
        """This rank's rows of an evaluation that has not ended, in input order."""
        return [prediction for _, prediction in sorted(self._predictions, key=lambda row: row[0])]

    def finish(self, stage: str) -> tuple[ScoreTable, dict[str, float]]:
        """All ranks' rows and every score that has a value, the same on every rank; then forget them.

        Raises:
            ValueError: A reference is empty, or a metric or an encoder fails.
        """
        table = self._gather()
        predictions = table.predictions
        has_references = any(prediction.references for prediction in predictions)
        # Without generation there are no predictions, and the loss is all there is.
        scores: dict[str, Any] = {"loss": self.loss.compute()} if has_references or not predictions else {}
        scores |= table.scores() | self._changes(predictions) | table.slice_values()
        self.table, self._predictions = table, []
        self.loss.reset()
        return table, {f"{stage}/{name}": float(value) for name, value in scores.items()}

    def _gather(self) -> ScoreTable:
        """Rows in input order, each scored by the rank that has it."""
        rows, predictions = [row for row, _ in self._predictions], [row for _, row in self._predictions]
        parts = gather((rows, predictions, row_vectors(predictions, self.metrics)))
        order = np.argsort([row for rows, _, _ in parts for row in rows], kind="stable")
        every = [prediction for _, predictions, _ in parts for prediction in predictions]
        table = ScoreTable(
            metrics=self.metrics,
            predictions=[every[position] for position in order],
            vectors=np.concatenate([vectors for _, _, vectors in parts])[order.astype(np.intp)],
        )
        self._add_encoder_scores(table)
        slices = slice_names(
            [prediction.profile for prediction in table.predictions],
            columns=self.slices,
            lengths=[len(prediction.dialogue) for prediction in table.predictions],
        )
        return replace(table, slices=slices)

    def _add_encoder_scores(self, table: ScoreTable) -> None:
        if self.semantic is None or not self.semantic.names or not table.predictions:
            return
        scores = self.semantic.score(
            [row.text for row in table.predictions],
            [row.references for row in table.predictions],
            device=torch.device(self.loss.device),
        )
        start = self.metrics.names.index(self.semantic.names[0])
        table.vectors[:, start : start + len(self.semantic.names)] = encoder_vectors(scores)

    def _changes(self, predictions: Sequence[Prediction]) -> dict[str, int]:
        """Rows that each step of post-processing changed, and rows that were generated again."""
        if not predictions:
            return {}
        changes = {
            f"changed_rows/{step}": sum(step in prediction.changed_steps for prediction in predictions)
            for step in self.steps
        }
        num_again = sum(prediction.attempts > 1 for prediction in predictions)
        return {**changes, "regenerated_rows": num_again} if num_again else changes

    def record(self) -> dict[str, Any]:
        """What must stand beside the scores for them to mean something."""
        return {**self.metrics.record(), **(self.semantic.record() if self.semantic else {})}
