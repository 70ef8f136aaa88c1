"""`SummaryStatistics`: do summaries end by themselves, and are they as long as people write them?

In: predictions with references. Out: `eos_rate`, `length_ratio` and `mean_length`. A model that never learnt to stop
shows here before it shows in ROUGE.
"""

from __future__ import annotations

from collections.abc import Sequence

from kosum_pl.metrics.row_metric import Pair, quotients
from kosum_pl.types import Prediction


class SummaryStatistics:
    """Endings and lengths as a `RowMetric`.

    `eos_rate` is the share of rows whose prediction reached a terminator; `length_ratio` the characters of all
    predictions over those of their references, where a row with several references counts with their mean;
    `mean_length` the mean characters of a prediction. Lengths are without white space at the ends.
    """

    names = ("eos_rate", "length_ratio", "mean_length")

    def row_values(self, prediction: Prediction) -> list[Pair]:
        """Counts of a row with references."""
        if not prediction.references:
            return []
        num_chars = len(prediction.text.strip())
        expected = sum(len(text.strip()) for text in prediction.references) / len(prediction.references)
        # Thousandths of a character: a mean over three references is no whole number.
        return [(prediction.reached_eos, 1), (1000 * num_chars, round(1000 * expected)), (num_chars, 1)]

    def corpus_scores(self, sums: Sequence[Pair]) -> dict[str, float]:
        """Scores from sums."""
        ended, (predicted, expected), length = sums
        return quotients(self.names, [ended, (predicted / 1000, expected / 1000), length])
