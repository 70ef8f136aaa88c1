"""Scores of any rows of an evaluation, each row scored once.

In: predictions. Out: what `SummaryScores` says of any of the rows, to the bit, and with bootstrap intervals. Every
metric sums integers, so the states of rows alone add up to the state of the rows together, in any choice of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.metrics import BERTSCORE_NAMES, SCRIPTS, SIMILARITY_NAMES, sums
from kosum_pl.metrics.ratio_bootstrap import NUM_RESAMPLES, ratio_intervals
from kosum_pl.metrics.summary_scores import ScoreSettings, SummaryScores
from kosum_pl.types import Prediction

SEED: Final = 42
"""Of the resamples: an interval depends on the rows alone, not on which other slices are asked for."""

_ROUGE: Final = tuple(f"rouge.totals.{place}" for place in range(3))
_UNIT: Final = 1 / sums.to_units(1.0)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A score: `scale` times a sum of states over a state, each named as in `SummaryScores.state_names`."""

    above: tuple[str, ...]
    below: str
    scale: float = 1.0


RATIOS: Final[Mapping[str, Ratio]] = {
    **{
        name: Ratio((_ROUGE[i],), "rouge.num_rows", 100 * _UNIT)
        for i, name in enumerate(("rouge1", "rouge2", "rougeL"))
    },
    "rouge_sum": Ratio(_ROUGE, "rouge.num_rows", 100 * _UNIT),
    "rouge_mean": Ratio(_ROUGE, "rouge.num_rows", 100 * _UNIT / 3),
    "eos_rate": Ratio(("statistics.num_ended",), "statistics.num_rows"),
    "length_ratio": Ratio(("statistics.predicted_chars",), "statistics.reference_chars", 1000.0),
    "mean_length": Ratio(("statistics.predicted_chars",), "statistics.num_rows"),
    **{
        name: Ratio((f"tags.totals.{i}",), f"tags.num_measured.{i}", _UNIT)
        for i, name in enumerate(("tag_recall", "tag_precision", "swapped_speakers"))
    },
    "slot_recall": Ratio(("slots.num_found",), "slots.num_slots"),
    "contamination_rate": Ratio(("contamination.num_contaminated",), "contamination.num_rows"),
    "raw_contamination_rate": Ratio(("raw_contamination.num_contaminated",), "raw_contamination.num_rows"),
    "foreign_per_mille": Ratio(
        tuple(f"contamination.num_foreign.{i}" for i in range(len(SCRIPTS))), "contamination.num_chars", 1000.0
    ),
    **{
        f"foreign_per_mille/{script.lower()}": Ratio(
            (f"contamination.num_foreign.{i}",), "contamination.num_chars", 1000.0
        )
        for i, script in enumerate(SCRIPTS)
    },
    "hangul_ratio": Ratio(("quality.num_hangul",), "quality.num_letters"),
    "broken_rate": Ratio(("quality.num_broken",), "quality.num_rows"),
    **{name: Ratio((f"bertscore.totals.{i}",), "bertscore.num_rows", _UNIT) for i, name in enumerate(BERTSCORE_NAMES)},
    **{name: Ratio(("similarity.totals.0",), "similarity.num_rows", _UNIT) for name in SIMILARITY_NAMES},
}
"""What each score of `SummaryScores` divides by what; one that is not named here has no interval."""


class RowScores:
    """Scores of any choice of an evaluation's N rows.

    Args:
        settings: How summaries are scored.
        predictions: The rows.
        semantic: Their scores from `SemanticScorer.score`, (N, K); None where they were not measured.
    """

    def __init__(
        self,
        settings: ScoreSettings,
        predictions: Sequence[Prediction],
        *,
        semantic: NDArray[np.float64] | None = None,
    ) -> None:
        self.settings = settings
        self.predictions = predictions
        self.semantic = semantic

    @cached_property
    def states(self) -> NDArray[np.int64]:
        """Each row's metric states, (N, S); made when first asked for."""
        scores = SummaryScores(self.settings, is_local=True)
        rows = [None] * len(self.predictions) if self.semantic is None else self.semantic[:, None]
        return np.stack([scores.row_state(*pair) for pair in zip(self.predictions, rows, strict=True)])

    def scores(self, rows: Sequence[int]) -> dict[str, float]:
        """Scores by bare name, equal to the bit to those of fresh metrics that see only these rows.

        Args:
            rows: Row numbers, at least one.
        """
        scores = SummaryScores(self.settings, is_local=True)
        scores.load_state(self.states[rows].sum(axis=0))
        found = scores.compute([self.predictions[row] for row in rows])
        return {name: float(value) for name, value in found.items()}

    def intervals(
        self, rows: Sequence[int], names: Sequence[str], *, seed: int = SEED, num_resamples: int = NUM_RESAMPLES
    ) -> dict[str, tuple[float, float]]:
        """Percentile intervals at 95 % by bare name, of those scores that have one.

        Args:
            rows: Row numbers; fewer than two have no interval.
            names: Scores that were measured on these rows.
            seed: Of the resamples.
            num_resamples: How often the rows are drawn with replacement.
        """
        known = [name for name in names if name in RATIOS]
        above, below = self.ratio_parts(rows, known)
        ends = ratio_intervals(above, below, seed=seed, num_resamples=num_resamples)
        return {name: (low, high) for name, (low, high) in zip(known, ends.tolist(), strict=True) if low == low}

    def ratio_parts(self, rows: Sequence[int], names: Sequence[str]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Numerators and denominators of each row and score, both (M, K) float64.

        Args:
            rows: M row numbers.
            names: K keys of `RATIOS`.
        """
        places = {name: place for place, name in enumerate(SummaryScores(self.settings, is_local=True).state_names)}
        states, shape = self.states[rows], (len(rows), len(names))
        above, below = np.empty(shape), np.empty(shape)
        for column, name in enumerate(names):
            ratio = RATIOS[name]
            above[:, column] = ratio.scale * states[:, [places[state] for state in ratio.above]].sum(axis=1)
            below[:, column] = states[:, places[ratio.below]]
        return above, below
