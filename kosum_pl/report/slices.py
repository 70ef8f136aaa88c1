"""Scores of slices of the evaluated rows.

In: `slices.csv`, as read. Out: scores by slice and by name, and bars. A mean hides that Saturdays are bad.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from kosum_pl.metrics import SliceScore
from kosum_pl.metrics.score_table import WHOLE
from kosum_pl.report.plots import interval_bar
from kosum_pl.report.scales import Scale
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun

_BESIDE: Final = ("contamination_rate", "tag_recall", "slot_recall", "length_ratio")
_BAR_WIDTH: Final = 150
SliceScores = dict[str, dict[str, SliceScore]]


@dataclass(frozen=True, kw_only=True)
class Slices:
    """What the table of slices shows.

    Attributes:
        num_rows: Of each slice.
        bars: Of a single run, `rouge_sum` and its interval by slice.
        beside: Of a single run, scores that stand beside `rouge_sum`.
    """

    num_rows: Mapping[str, int]
    runs: Sequence[SliceScores]
    bars: Mapping[str, Markup]
    beside: Sequence[str]


def slice_scores(scored: ScoredRun) -> SliceScores:
    """Lines of `slices.csv` by slice and score; those that are not complete are left out."""
    found: SliceScores = {}
    for line in scored.run.slices:
        try:
            score = _read(line)
        except (KeyError, TypeError, ValueError):
            continue
        if score.name and not math.isnan(score.value):
            found.setdefault(score.name, {})[score.score] = score
    return found


def _read(line: Mapping[str, str]) -> SliceScore:
    low, high = (float(line[end]) if line[end] else None for end in ("low", "high"))
    return SliceScore(
        name=line["slice"],
        num_rows=int(line["num_rows"]),
        score=line["score"],
        value=float(line["value"]),
        low=low,
        high=high,
        difference=float(line["difference"]),
    )


def slices(runs: Sequence[ScoredRun]) -> Slices | None:
    """Scores by slice: with intervals for one run, side by side for several."""
    found = [slice_scores(scored) for scored in runs]
    if not any(len(scores) > 1 for scores in found):
        return None
    num_rows: dict[str, int] = {}
    for score in (one for scores in found for of_slice in scores.values() for one in of_slice.values()):
        num_rows.setdefault(score.name, score.num_rows)
    return Slices(
        num_rows=num_rows,
        runs=found,
        bars=_bars(found[0], color=runs[0].color) if len(runs) == 1 else {},
        beside=[name for name in _BESIDE if any(name in of_slice for of_slice in found[0].values())],
    )


def weakest(scored: ScoredRun, *, num_slices: int = 3) -> list[SliceScore]:
    """`rouge_sum` of the slices where it is lowest."""
    found = [scores[MAIN_SCORE] for scores in slice_scores(scored).values() if MAIN_SCORE in scores]
    return sorted((one for one in found if one.name != WHOLE), key=lambda one: (one.value, one.name))[:num_slices]


def _bars(found: SliceScores, *, color: int) -> dict[str, Markup]:
    main = [scores[MAIN_SCORE] for scores in found.values() if MAIN_SCORE in scores]
    ends = [end for one in main for end in (one.low, one.high, one.value) if end is not None]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    scale = Scale(low=low, high=high if high > low else low + 1, start=6, end=_BAR_WIDTH)
    return {one.name: interval_bar(one.value, one.low, one.high, scale=scale, color=color) for one in main}
