"""Summaries as text, CSV or JSON lines.

In: predictions in the order of their dialogues, some of them perhaps not made. Out: one string, for a file or standard
output. CSV and JSON lines are what `predict` writes; text has one summary a line, so that line n answers dialogue n.
Only who reads it on a screen gets marks in it: a file of summaries holds summaries.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from kosum_pl.runs.csv_cells import CsvCells
from kosum_pl.runs.predictions import UNFINISHED_MARK, submitted_summary
from kosum_pl.types import Prediction

FORMATS: Final = ("text", "csv", "jsonl")


def render_predictions(
    predictions: Sequence[Prediction | None],
    output_format: str,
    *,
    is_marked: bool = False,
    cells: CsvCells | None = None,
    file: str = "the output",
) -> str:
    r"""All predictions in one of `FORMATS`, with a line end at the end; a None leaves an empty line in text.

    `is_marked` puts a mark behind each summary of a text that the model did not end; JSON lines say `reached_eos`.
    `cells` counts formulas in a CSV under the name `file`, or makes them text.

    Example:
        >>> row = {"raw_text": "", "dialogue": "A: 네", "references": (), "profile": {}, "log_prob": 0.0,
        ...        "num_tokens": 1, "reached_eos": True, "attempts": 1, "preset": "fast"}
        >>> last = Prediction(example_id="b", text="간다.\n온다.", **row)
        >>> render_predictions([None, last], "text"), render_predictions([None, last], "csv").splitlines()[1:]
        ('\n간다. 온다.\n', ['1,b,"간다.', '온다."'])
    """
    if output_format == "text":
        return "".join(f"{_text_line(prediction, is_marked=is_marked)}\n" for prediction in predictions)
    rows = [
        (number, prediction, submitted_summary(prediction))
        for number, prediction in enumerate(predictions)
        if prediction is not None
    ]
    if output_format == "jsonl":
        values = ({**asdict(prediction), "summary": summary} for _, prediction, summary in rows)
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in values)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", "fname", "summary"])
    cells = cells or CsvCells()
    for number, prediction, summary in rows:
        writer.writerow(cells.row([number, prediction.example_id, summary], file=file))
    return text.getvalue()


def _text_line(prediction: Prediction | None, *, is_marked: bool) -> str:
    if prediction is None:
        return ""
    mark = UNFINISHED_MARK if is_marked and not prediction.reached_eos else ""
    return " ".join(f"{submitted_summary(prediction)} {mark}".split())
