"""`SummaryStatistics`: do summaries end by themselves, and are they as long as people write them?

In: predictions, references and whether each prediction reached its terminator. Out: `eos_rate`, `length_ratio` and
`mean_length`. A model that never learnt to stop shows here before it shows in ROUGE.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric

from kosum_pl.metrics import sums


class SummaryStatistics(Metric):
    """Endings and lengths of a split's summaries.

    `eos_rate` is the share of rows whose prediction reached a terminator; `length_ratio` the characters of all
    predictions over those of their references, where a row with several references counts with their mean;
    `mean_length` the mean characters of a prediction. Lengths are without white space at the ends.

    Example:
        >>> metric = SummaryStatistics()
        >>> metric.update(["비가 온다."], [["비가 온다.", "오늘은 비가 온다."]], reached_eos=[True])
        >>> {name: float(value) for name, value in metric.compute().items()}
        {'eos_rate': 1.0, 'length_ratio': 0.75, 'mean_length': 6.0}
    """

    full_state_update = False
    is_differentiable = False
    predicted_chars: Tensor
    reference_chars: Tensor
    num_ended: Tensor
    num_rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("predicted_chars", "reference_chars", "num_ended", "num_rows"):
            self.add_state(name, default=sums.zeros(), dist_reduce_fx="sum")

    def update(
        self, predictions: Sequence[str], references: Sequence[Sequence[str]], reached_eos: Sequence[bool]
    ) -> None:
        """Add rows.

        Args:
            predictions: One text a row.
            references: One or more texts a row.
            reached_eos: Whether each prediction's last token is a terminator.

        Raises:
            ValueError: The lengths differ, or a row has no reference.
        """
        name = "SummaryStatistics"
        sums.check_lengths(name, predictions=predictions, references=references, reached_eos=reached_eos)
        sums.check_references(name, references)
        expected = [sum(len(text.strip()) for text in texts) / len(texts) for texts in references]
        self.predicted_chars = self.predicted_chars + sum(len(text.strip()) for text in predictions)
        # Thousandths of a character: a mean over three references is no whole number.
        self.reference_chars = self.reference_chars + sum(round(1000 * chars) for chars in expected)
        self.num_ended = self.num_ended + sum(map(bool, reached_eos))
        self.num_rows = self.num_rows + len(predictions)

    def compute(self) -> dict[str, Tensor]:
        """Statistics by name, 0-dim float64.

        Raises:
            ValueError: No rows were added.
        """
        num_rows = sums.check_rows("SummaryStatistics", self.num_rows)
        predicted, expected = int(self.predicted_chars), int(self.reference_chars) / 1000
        values = {
            "eos_rate": int(self.num_ended) / num_rows,
            "length_ratio": predicted / expected,
            "mean_length": predicted / num_rows,
        }
        return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
