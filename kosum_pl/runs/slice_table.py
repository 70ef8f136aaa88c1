"""What a run shows and keeps of slices: their table, `slices.csv`, and whether it evaluated one slice alone.

In: scores of an evaluation's slices. Out: a table for the terminal, and a file. Twenty slices with twenty scores each
are a file's matter; the terminal has one line a slice.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lightning.pytorch import Trainer
from rich.table import Table

from kosum_pl.files import open_atomically
from kosum_pl.metrics.score_table import WHOLE, SliceScore
from kosum_pl.runs.csv_cells import CsvCells
from kosum_pl.runs.files import SLICES_FILE

SLICE_COLUMNS: Final = ("rouge_sum", "contamination_rate")
_FIELDS: Final = ("slice", "num_rows", "score", "value", "low", "high", "difference")


def write_slices(scores: Sequence[SliceScore], folder: Path, *, cells: CsvCells | None = None) -> None:
    """Write `slices.csv` in one step: a line for each slice and score, empty ends where there is no interval."""
    cells = cells or CsvCells()
    cells.begin(SLICES_FILE)
    with open_atomically(folder / SLICES_FILE) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_FIELDS)
        for line in scores:
            values = [line.name, line.num_rows, line.score, line.value, line.low, line.high, line.difference]
            writer.writerow(cells.row(values, file=SLICES_FILE))


def evaluated_slice(trainer: Trainer) -> tuple[str, str]:
    """Name of the slice that an evaluation is confined to, and the line that names it; empty without `--slice`."""
    datamodule: Any = getattr(trainer, "datamodule", None)
    return getattr(datamodule, "slice_name", ""), getattr(datamodule, "slice_line", "")


def slice_table(scores: Sequence[SliceScore]) -> Table | None:
    """The main scores of all rows and of each slice; None where there are no slices.

    The interval and the difference from all rows are those of the first score in `SLICE_COLUMNS` that was measured.
    """
    by_slice: dict[str, dict[str, SliceScore]] = {}
    for score in scores:
        by_slice.setdefault(score.name, {})[score.score] = score
    shown = [name for name in SLICE_COLUMNS if any(name in values for values in by_slice.values())]
    if len(by_slice) < 2 or not shown:
        return None
    main, *others = shown
    table = Table(title="scores by slice, with 95 % intervals", title_justify="left")
    table.add_column("slice", no_wrap=True)
    table.add_column("rows", justify="right")
    # A narrow terminal breaks the headings at their spaces.
    table.add_column(main.replace("_", " "), justify="right", no_wrap=True)
    table.add_column("from all", justify="right")
    for name in others:
        table.add_column(name.replace("_", " "), justify="right", overflow="fold")
    for name, values in by_slice.items():
        num_rows = next(iter(values.values())).num_rows
        cells = [_rounded_score(other, values[other].value) if other in values else "" for other in others]
        table.add_row(name, f"{num_rows:,}", *_main_cells(values.get(main)), *cells, end_section=name == WHOLE)
    return table


def _main_cells(score: SliceScore | None) -> tuple[str, str]:
    """A score with its interval, and its difference from all rows."""
    if score is None:
        return "", ""
    interval = ""
    if score.low is not None and score.high is not None:
        interval = f" [{_rounded_score(score.score, score.low)}, {_rounded_score(score.score, score.high)}]"
    difference = "" if score.name == WHOLE else _rounded_score(score.score, score.difference, sign="+")
    return f"{_rounded_score(score.score, score.value)}{interval}", difference


def _rounded_score(score: str, value: float, sign: str = "") -> str:
    """ROUGE to one place, which is far inside its interval; rates and ratios to three, so that 1 row in 80 shows."""
    return f"{value:{sign}.1f}" if score.startswith("rouge") else f"{value:{sign}.3f}"
