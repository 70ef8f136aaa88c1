"""All scores of one evaluation, from the first batch to the end of the epoch.

In: losses and predictions, batch by batch. Out: one flat mapping of full names (`val/rouge_sum`) to floats, the
same on every rank, and all predictions in input order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from kosum_pl.metrics import RougeMetric, SlotRecall, SummaryStatistics, TagRecall
from kosum_pl.types import Prediction

ROUGE_NAMES = ("rouge1", "rouge2", "rougeL", "rouge_sum", "rouge_mean")
SUMMARY_NAMES = ("eos_rate", "length_ratio", "mean_length")


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
    """Loss, ROUGE and the rates that tell whether a summary can be trusted.

    Args:
        rouge_tokenizer: `kiwi`, `mecab`, `char` or `space`.
        multi_reference: `mean` or `max` over a row's references.
    """

    def __init__(self, *, rouge_tokenizer: str, multi_reference: str) -> None:
        super().__init__()
        self.loss = TokenMeanLoss()
        self.rouge = RougeMetric(tokenizer=rouge_tokenizer, multi_reference=multi_reference)
        self.statistics = SummaryStatistics()
        self.tag_recall = TagRecall()
        self.slot_recall = SlotRecall()
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
        scored = [prediction for prediction in predictions if prediction.references]
        if not scored:
            return
        texts = [prediction.text for prediction in scored]
        references = [prediction.references for prediction in scored]
        self.rouge.update(texts, references)
        self.statistics.update(texts, references, reached_eos=[prediction.reached_eos for prediction in scored])
        self.tag_recall.update(texts, references)
        self.slot_recall.update(texts, [prediction.slots for prediction in scored])

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
            stage: `val` or `test`.
            predictions: From `gather`; decides what can be scored, alike on all ranks.
        """
        scored = [prediction for prediction in predictions if prediction.references]
        # Without generation there are no predictions, and the loss is all there is.
        scores: dict[str, Tensor] = {"loss": self.loss.compute()} if scored or not predictions else {}
        if scored:
            scores |= self.rouge.compute() | self.statistics.compute()
            if any("#" in prediction.references[0] for prediction in scored):
                scores |= self.tag_recall.compute()
            if any(prediction.slots for prediction in scored):
                scores |= self.slot_recall.compute()
        return {f"{stage}/{name}": float(value) for name, value in scores.items()}

    def reset(self) -> None:
        """Forget everything, before the next evaluation."""
        self._predictions = []
        for metric in (self.loss, self.rouge, self.statistics, self.tag_recall, self.slot_recall):
            metric.reset()
