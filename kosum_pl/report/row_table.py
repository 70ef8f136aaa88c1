"""The table of all predictions: its data, as one block of JSON, and its empty shell.

In: scored runs. Out: plain values and markup. The page's script shows fifty rows at a time: ten thousand rows of a
table would freeze a phone, as data they are a few megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from kosum_pl.report.markup import Html, element, join, json_block
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun
from kosum_pl.report.section import Section
from kosum_pl.types import Prediction, natural_key, profile_text

_COLUMNS: Final = (
    *((MAIN_SCORE, "sum", 1), ("rouge1", "R-1", 1), ("rouge2", "R-2", 1), ("rougeL", "R-L", 1)),
    *(("length_ratio", "length", 2), ("tag_recall", "tags", 2), ("raw_contamination_rate", "foreign", 0)),
)
_COLUMNS_OF_SEVERAL: Final = ((MAIN_SCORE, "sum", 1),)
# A column with more values is an id or a free text; the search finds those.
_MAX_VALUES: Final = 60


def predictions(runs: Sequence[ScoredRun]) -> Section:
    """The section, with its data."""
    body = Html("")
    if any(scored.predictions for scored in runs):
        body = join([_shell(), json_block(row_data(runs), id="row-data")])
    return Section(id="predictions", title="All predictions", body=body, missing="no predictions.jsonl")


def row_data(runs: Sequence[ScoredRun]) -> dict[str, Any]:
    """What the script shows: `columns` (label, decimals, title), `filters` (column, values), `runs` (letters), `rows`.

    A row has `i` its id, `d` dialogue, `r` references, `p` profile, and for each run `t` text, null where the run lacks
    the row, and `w` raw text, null where it is the same; `v` are the numbers of all columns, null where there is none.
    """
    several = len(runs) > 1
    kinds = _COLUMNS_OF_SEVERAL if several else _COLUMNS
    columns, sources = [], []
    for scored in runs:
        for name, label, decimals in kinds:
            if name in scored.values:
                columns.append(
                    {"label": f"{scored.letter} {label}" if several else label, "decimals": decimals, "title": name}
                )
                sources.append((scored, name))
    places = [{row.example_id: place for place, row in enumerate(scored.predictions)} for scored in runs]
    rows = []
    for example_id in dict.fromkeys(row.example_id for scored in runs for row in scored.predictions):
        found = [
            scored.predictions[place[example_id]] if example_id in place else None
            for scored, place in zip(runs, places, strict=True)
        ]
        numbers = [_number(scored, name, places[runs.index(scored)].get(example_id)) for scored, name in sources]
        rows.append(_row(example_id, found, numbers))
    if several:
        _add_differences(columns, rows, num_runs=len(runs))
    letters = [scored.letter for scored in runs] if several else [""]
    return {"columns": columns, "filters": _filters(rows), "runs": letters, "rows": rows}


def _row(example_id: str, found: Sequence[Prediction | None], numbers: list[float | None]) -> dict[str, Any]:
    first = next(row for row in found if row is not None)
    return {
        "i": example_id,
        "d": first.dialogue,
        "r": list(first.references),
        "p": {name: profile_text(value) for name, value in first.profile.items()},
        "t": [None if row is None else row.text for row in found],
        "w": [None if row is None or row.raw_text == row.text else row.raw_text for row in found],
        "v": numbers,
    }


def _add_differences(columns: list[dict[str, Any]], rows: list[dict[str, Any]], *, num_runs: int) -> None:
    """After the first run's score, how far it lies above each other run's."""
    if len(columns) != num_runs:
        return
    for other in range(1, num_runs):
        label = f"{columns[0]['label'][0]} − {columns[other]['label'][0]}"
        columns.append({"label": label, "decimals": 1, "title": f"difference of {MAIN_SCORE}"})
        for row in rows:
            ours, theirs = row["v"][0], row["v"][other]
            row["v"].append(None if ours is None or theirs is None else round(ours - theirs, 2))


def _number(scored: ScoredRun, name: str, row: int | None) -> float | None:
    value = math.nan if row is None else float(scored.values[name][row])
    return round(value, 3) if math.isfinite(value) else None


def _filters(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    values: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, value in row["p"].items():
            values.setdefault(name, {})[value] = None
    return [
        {"name": name, "values": sorted(found, key=natural_key)}
        for name, found in values.items()
        if 1 < len(found) <= _MAX_VALUES
    ]


def _shell() -> Html:
    search = element(
        "input", type="search", id="search", placeholder="Search ids and texts", aria_label="Search ids and texts"
    )
    pager = element(
        "nav",
        element("button", "‹ back", id="back", type="button"),
        element("span", id="shown", role="status"),
        element("button", "next ›", id="next", type="button"),
        class_="pager",
    )
    return join(
        [
            element("div", search, element("span", id="filters"), class_="controls"),
            pager,
            element("table", element("thead"), element("tbody"), id="list"),
            element("noscript", element("p", "The table needs JavaScript; all else does not.", class_="warning")),
        ]
    )
