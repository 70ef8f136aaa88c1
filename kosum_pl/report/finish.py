"""What a run writes for its reader when it ends: `drift.json`, `report.html` and `report.md`.

In: the folder of a finished command, and what is at hand anyway. Out: lines for the terminal. Days of training must
not fail over a page: what goes wrong here is a line too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from kosum_pl.drift.compare import compare
from kosum_pl.errors import one_line
from kosum_pl.files import write_json
from kosum_pl.metrics.score_table import ScoreTable
from kosum_pl.report.page import report_folder
from kosum_pl.types import Dialogue

DRIFT_FILE: Final = "drift.json"
MAX_DRIFT_ROWS: Final = 20_000
"""Of both splits together; beyond, the comparison takes longer than a run's end should, and `drift` is there for it."""


def finish_report(
    folder: Path, *, table: ScoreTable | None = None, tables: Mapping[str, Iterable[Dialogue]] | None = None
) -> list[str]:
    """Write the report of a finished command into its folder, and return lines for the terminal.

    `table` is of the folder's rows, where an evaluation has made them; `tables` are rows by split, where train shall be
    compared with val.
    """
    lines = []
    try:
        if tables and {"train", "val"} <= tables.keys():
            write_drift(folder, tables=tables)
    except Exception as error:
        lines.append(_failure(DRIFT_FILE, error))
    try:
        lines.append(f"report: {report_folder(folder, table=table)}")
    except Exception as error:
        lines.append(_failure("the report", error))
    return lines


def write_drift(folder: Path, *, tables: Mapping[str, Iterable[Dialogue]]) -> bool:
    """Compare val with train, and write `drift.json` as the command `drift` would; False above `MAX_DRIFT_ROWS`."""
    # Listed once: a table reads each row from disk.
    splits = {name: list(tables[name]) for name in ("train", "val")}
    if sum(map(len, splits.values())) > MAX_DRIFT_ROWS:
        return False
    found = compare(splits["train"], other=splits["val"], name="val")
    values = {"splits": [found.values()], "topics": None, "notes": []}
    write_json(folder / DRIFT_FILE, values)
    return True


def _failure(what: str, error: Exception) -> str:
    return f"{what} could not be written: {type(error).__name__}: {one_line(str(error))}"
