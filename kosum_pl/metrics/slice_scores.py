"""Scores of a split and of its slices, with intervals and differences.

In: an evaluation's row scores, and which rows form which slice. Out: one line for each slice and score, and
`slices.csv`. The score of a slice of forty rows moves by tens of points when other rows are drawn, and the
width of that stands beside it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from kosum_pl.files import open_atomically
from kosum_pl.metrics.row_scores import RowScores

SLICES_FILE: Final = "slices.csv"
WHOLE: Final = "all"
"""Name of the slice that holds every row."""

_FIELDS: Final = ("slice", "num_rows", "score", "value", "low", "high", "difference")


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """One score of one slice.

    Attributes:
        name: The slice, `weekday=7`, or `all`.
        num_rows: Its rows.
        score: Bare name of the score.
        value: As it is logged.
        low: Lower end of the 95 % bootstrap interval over rows; None without one, as for a single row.
        high: Upper end.
        difference: `value` less that of all rows.
    """

    name: str
    num_rows: int
    score: str
    value: float
    low: float | None
    high: float | None
    difference: float


class SliceScores:
    """All scores of one evaluation's slices; intervals are drawn when first asked for, as only one rank needs them.

    Args:
        rows: Scores of any choice of rows.
        slices: Row numbers by name of the slice.
    """

    def __init__(self, rows: RowScores, slices: Mapping[str, Sequence[int]]) -> None:
        self.rows = rows
        self.slices = dict(slices)

    def flat(self) -> dict[str, float]:
        """Number of rows and scores of each slice, without intervals, by names such as `rouge_sum/weekday=7`."""
        flat: dict[str, float] = {}
        for name, rows in self.slices.items():
            flat[f"num_rows/{name}"] = len(rows)
            flat |= {f"{score}/{name}": value for score, value in self.rows.scores(rows).items()}
        return flat

    @cached_property
    def table(self) -> list[SliceScore]:
        """Every score of all rows, then of each slice; empty without rows."""
        return list(self._lines())

    def _lines(self) -> Iterator[SliceScore]:
        every = range(len(self.rows.predictions))
        if not every:
            return
        whole = self.rows.scores(every)
        for name, rows in {WHOLE: every, **self.slices}.items():
            scores = self.rows.scores(rows)
            intervals = self.rows.intervals(rows, list(scores))
            for score, value in scores.items():
                low, high = intervals.get(score, (None, None))
                yield SliceScore(
                    name=name,
                    num_rows=len(rows),
                    score=score,
                    value=value,
                    low=low,
                    high=high,
                    difference=value - whole[score],
                )

    def write(self, folder: Path) -> None:
        """Write `slices.csv` in one step: a line for each slice and score, empty ends where there is no interval.

        Args:
            folder: Where the file goes.
        """
        with open_atomically(folder / SLICES_FILE) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_FIELDS)
            for line in self.table:
                values: list[Any] = [line.name, line.num_rows, line.score, line.value, line.low, line.high]
                writer.writerow([*values, line.difference])
