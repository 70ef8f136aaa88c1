"""Scores of slices of the evaluated rows.

In: `slices.csv`, as read. Out: scores by slice and by name, and bars. A mean hides that Saturdays are bad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from kosum_pl.report.plots import interval_bar
from kosum_pl.report.scales import Scale
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun

WHOLE: Final = "all"
_BESIDE: Final = ("contamination_rate", "tag_recall", "slot_recall", "length_ratio")
_BAR_WIDTH: Final = 150


@dataclass(frozen=True, kw_only=True)
class SliceScore:
    """A line of `slices.csv`: a score over a slice's rows, its interval and its difference from all rows."""

    num_rows: str
    value: float
    low: float | None
    high: float | None
    difference: float | None

    @property
    def is_apart(self) -> bool:
        """Whether the interval leaves the score of all rows out."""
        if self.low is None or self.high is None or self.difference is None:
            return False
        return not self.low <= self.value - self.difference <= self.high


SliceScores = dict[str, dict[str, SliceScore]]


@dataclass(frozen=True, kw_only=True)
class Slices:
    """What the table of slices shows.

    Attributes:
        num_rows: Of each slice.
        runs: Scores of each run.
        bars: Of a single run, `rouge_sum` and its interval by slice.
        beside: Of a single run, scores that stand beside `rouge_sum`.
    """

    num_rows: Mapping[str, str]
    runs: Sequence[SliceScores]
    bars: Mapping[str, Markup]
    beside: Sequence[str]


def slice_scores(scored: ScoredRun) -> SliceScores:
    """Lines of `slices.csv` by slice and score; those that are not complete are left out."""
    found: SliceScores = {}
    for line in scored.run.slices:
        value = _float(line.get("value"))
        if line.get("slice") and line.get("score") and value is not None:
            low, high, difference = (_float(line.get(key)) for key in ("low", "high", "difference"))
            score = SliceScore(
                num_rows=line.get("num_rows", ""), value=value, low=low, high=high, difference=difference
            )
            found.setdefault(line["slice"], {})[line["score"]] = score
    return found


def slices(runs: Sequence[ScoredRun]) -> Slices | None:
    """Scores by slice: with intervals for one run, side by side for several."""
    found = [slice_scores(scored) for scored in runs]
    if not any(len(scores) > 1 for scores in found):
        return None
    num_rows: dict[str, str] = {}
    for name, of_slice in (entry for scores in found for entry in scores.items()):
        num_rows.setdefault(name, next(iter(of_slice.values())).num_rows)
    return Slices(
        num_rows=num_rows,
        runs=found,
        bars=_bars(found[0], color=runs[0].color) if len(runs) == 1 else {},
        beside=[name for name in _BESIDE if any(name in of_slice for of_slice in found[0].values())],
    )


def weakest(scored: ScoredRun, *, num_slices: int = 3) -> list[tuple[float, str, str]]:
    """`rouge_sum`, name and number of rows of the slices with the lowest `rouge_sum`."""
    found = [
        (scores[MAIN_SCORE].value, name, scores[MAIN_SCORE].num_rows)
        for name, scores in slice_scores(scored).items()
        if MAIN_SCORE in scores and name != WHOLE
    ]
    return sorted(found)[:num_slices]


def _bars(found: SliceScores, *, color: int) -> dict[str, Markup]:
    main = {name: scores[MAIN_SCORE] for name, scores in found.items() if MAIN_SCORE in scores}
    ends = [end for one in main.values() for end in (one.low, one.high, one.value) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    scale = Scale(low=low, high=high if high > low else low + 1, start=6, end=_BAR_WIDTH)
    return {
        name: interval_bar(
            one.value,
            one.value if one.low is None else one.low,
            one.value if one.high is None else one.high,
            scale=scale,
            color=color,
        )
        for name, one in main.items()
    }


def _float(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return None if math.isnan(value) else value
