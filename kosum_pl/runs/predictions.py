"""Predictions as files: the submission and everything known of each row.

In: predictions in input order. Out: `predictions.csv` (unnamed index, `fname`, `summary`, one line a row, no empty
summary) and `predictions.jsonl`. A board refuses a file with an empty summary: one is filled in, and counted. So is one
that the model did not end, which is marked wherever people read it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from kosum_pl.files import open_atomically, write_json_lines
from kosum_pl.metrics import lead_summary
from kosum_pl.runs.csv_cells import CsvCells
from kosum_pl.runs.files import PREDICTIONS_FILE, SUBMISSION_FILE
from kosum_pl.types import Prediction

UNFINISHED_MARK: Final = "[unfinished]"
"""Stands behind a summary that the model did not end by itself, where it is shown; never in a file of summaries."""
NO_SUMMARY: Final = "요약 없음"
"""In place of an empty summary where no word of a dialogue may stand."""
_FIELDS: Final = tuple(Prediction.__dataclass_fields__)
_NUM_NAMED: Final = 5


def submitted_summary(prediction: Prediction) -> str:
    """The prediction's text; where that is empty the dialogue's first turn, or the whole of a wordless dialogue.

    Example:
        >>> row = {"example_id": "a", "raw_text": "", "references": (), "profile": {}, "log_prob": 0.0,
        ...        "num_tokens": 1, "reached_eos": True, "attempts": 1, "preset": "fast"}
        >>> submitted_summary(Prediction(text=" ", dialogue="#Person1#: 밥 먹었어?", **row))
        '밥 먹었어?'
    """
    if prediction.text.strip():
        # The csv module leaves a bare carriage return unquoted, and readers would take it for the end of the row.
        return prediction.text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return lead_summary(prediction.dialogue)
    except ValueError:
        return " ".join(prediction.dialogue.split())


def write_predictions(
    predictions: Sequence[Prediction], folder: Path, *, cells: CsvCells | None = None, has_sources: bool = True
) -> int:
    """Write both files, each in one step; return how many empty summaries were filled in.

    Args:
        predictions: In input order.
        folder: Where they go.
        cells: Counts formulas among the cells, or makes them text.
        has_sources: Whether `predictions.jsonl` holds dialogues, references and slots; without, these are empty.
    """
    cells = cells or CsvCells()
    cells.begin(SUBMISSION_FILE)
    summaries = [
        submitted_summary(prediction if has_sources else replace(prediction, dialogue=NO_SUMMARY))
        for prediction in predictions
    ]
    with open_atomically(folder / SUBMISSION_FILE) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["", "fname", "summary"])
        for index, (prediction, summary) in enumerate(zip(predictions, summaries, strict=True)):
            writer.writerow(cells.row([index, prediction.example_id, summary], file=SUBMISSION_FILE))
    write_prediction_rows(predictions, folder / PREDICTIONS_FILE, has_sources=has_sources)
    return sum(not prediction.text.strip() for prediction in predictions)


def write_prediction_rows(predictions: Sequence[Prediction], path: Path, *, has_sources: bool = True) -> None:
    """Write everything known of each row, one JSON object a line; without `has_sources` no text but the summary."""
    hidden: dict[str, Any] = {} if has_sources else {"dialogue": "", "references": (), "slots": ()}
    shown = (row if has_sources else replace(row, dialogue=NO_SUMMARY) for row in predictions)
    rows = ({**_as_dict(row), **hidden, "summary": submitted_summary(row)} for row in shown)
    write_json_lines(rows, path)


def _as_dict(prediction: Prediction) -> dict[str, Any]:
    values = {name: getattr(prediction, name) for name in _FIELDS}
    return {**values, "profile": dict(prediction.profile)}


def filled_line(num_filled: int, *, has_sources: bool = True) -> list[str]:
    """What to say of filled summaries; no line where there are none.

    Example:
        >>> filled_line(0), len(filled_line(2))
        ([], 1)
    """
    if not num_filled:
        return []
    source = "the dialogue's first turn" if has_sources else f"'{NO_SUMMARY}'"
    return [f"{num_filled:,} empty summaries were filled with {source} in {SUBMISSION_FILE}"]


def unfinished_line(predictions: Sequence[Prediction]) -> list[str]:
    """What to say of summaries that the model did not end, with the first ids; no line where there are none.

    Example:
        >>> row = {"text": "간다. 온", "raw_text": "간다. 온", "dialogue": "", "references": (), "profile": {},
        ...        "log_prob": 0.0, "num_tokens": 4, "attempts": 1, "preset": "fast"}
        >>> rows = [Prediction(example_id=f"dev_{n}", reached_eos=n not in (3, 7), **row) for n in range(1, 201)]
        >>> unfinished_line(rows), unfinished_line(rows[:2])
        (['2 of 200 summaries were cut at max_new_tokens (dev_3, dev_7)'], [])
    """
    ids = [prediction.example_id for prediction in predictions if not prediction.reached_eos]
    if not ids:
        return []
    named = ", ".join([*ids[:_NUM_NAMED], *["…"] * (len(ids) > _NUM_NAMED)])
    return [f"{len(ids):,} of {len(predictions):,} summaries were cut at max_new_tokens ({named})"]
