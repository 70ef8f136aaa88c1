"""The data of the table of all predictions.

In: scored runs. Out: plain values, which the page holds as one block of JSON. Its script shows fifty rows at a time:
ten thousand rows of a table would freeze a phone, as data they are a few megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kosum_pl.report.scored import MAIN_SCORE, ScoredRun
from kosum_pl.runs.predictions import UNFINISHED_MARK
from kosum_pl.types import Prediction, natural_key, profile_text

_COLUMNS: Final = (
    *((MAIN_SCORE, "sum", 1), ("rouge1", "R-1", 1), ("rouge2", "R-2", 1), ("rougeL", "R-L", 1)),
    *(("length_ratio", "length", 2), ("tag_recall", "tags", 2), ("raw_contamination_rate", "foreign", 0)),
)
# A column with more values is an id or a free text; the search finds those.
_MAX_VALUES: Final = 60


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of numbers, one for each row; None where there is none."""

    label: str
    decimals: int
    title: str
    numbers: Sequence[float | None]


def row_data(runs: Sequence[ScoredRun]) -> dict[str, Any] | None:
    """What the script shows; None where no run has rows.

    Returns:
        `columns` (label, decimals, title), `filters` (column, values), `runs` (letters) and `rows`. A row has `i` its
        id, `d` dialogue, `r` references, `p` profile, and for each run `t` text, null where the run lacks the row, `w`
        raw text, null where it is the same, and `u` the mark of a text that the model did not end, else null; `v` are
        the numbers of all columns, null where there is none.
    """
    several = len(runs) > 1
    ids = dict.fromkeys(row.example_id for scored in runs for row in scored.predictions)
    if not ids:
        return None
    index_of = [{row.example_id: index for index, row in enumerate(scored.predictions)} for scored in runs]
    indices = [[of_run.get(example_id) for example_id in ids] for of_run in index_of]
    columns = [one for scored, at in zip(runs, indices, strict=True) for one in _columns(scored, at, several=several)]
    if several and len(columns) == len(runs):
        columns += [_difference(columns[0], other) for other in columns[1:]]
    rows = []
    for number, at in enumerate(zip(*indices, strict=True)):
        found = [None if index is None else scored.predictions[index] for scored, index in zip(runs, at, strict=True)]
        rows.append({**_texts(found), "v": [column.numbers[number] for column in columns]})
    return {
        "columns": [{"label": one.label, "decimals": one.decimals, "title": one.title} for one in columns],
        "filters": _filters(rows),
        "runs": [scored.letter for scored in runs] if several else [""],
        "rows": rows,
    }


def _columns(scored: ScoredRun, indices: Sequence[int | None], *, several: bool) -> Iterator[Column]:
    for name, label, decimals in _COLUMNS[:1] if several else _COLUMNS:
        if name in scored.values:
            values = [math.nan if index is None else float(scored.values[name][index]) for index in indices]
            numbers = [round(value, 3) if math.isfinite(value) else None for value in values]
            label = f"{scored.letter} {label}" if several else label
            yield Column(label=label, decimals=decimals, title=name, numbers=numbers)


def _difference(first: Column, other: Column) -> Column:
    """How far the first run's score lies above another run's."""
    pairs = zip(first.numbers, other.numbers, strict=True)
    return Column(
        label=f"{first.label[0]} − {other.label[0]}",
        decimals=1,
        title=f"difference of {MAIN_SCORE}",
        numbers=[None if ours is None or theirs is None else round(ours - theirs, 2) for ours, theirs in pairs],
    )


def _texts(found: Sequence[Prediction | None]) -> dict[str, Any]:
    first = next(row for row in found if row is not None)
    return {
        "i": first.example_id,
        "d": first.dialogue,
        "r": list(first.references),
        "p": {name: profile_text(value) for name, value in first.profile.items()},
        "t": [None if row is None else row.text for row in found],
        "w": [None if row is None or row.raw_text == row.text else row.raw_text for row in found],
        "u": [None if row is None or row.reached_eos else UNFINISHED_MARK for row in found],
    }


def _filters(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row["p"].items():
            values.setdefault(name, set()).add(value)
    return [
        {"name": name, "values": sorted(found, key=natural_key)}
        for name, found in values.items()
        if 1 < len(found) <= _MAX_VALUES
    ]
