"""Formulas in written CSV files: found, counted, made text, and given back."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics import SliceScore
from kosum_pl.runs.csv_cells import CsvCells, is_formula, neutralized, restored
from kosum_pl.runs.predictions import NO_SUMMARY, write_predictions
from kosum_pl.runs.slice_table import write_slices
from tests.metrics.rows import prediction

FORMULA = '=HYPERLINK("http://a.b","가")'


@given(st.text(st.sampled_from("'=+-@\t\r\n＝가 1")) | st.text())
def test_every_text_comes_back_and_none_is_a_formula(text: str) -> None:
    assert restored(neutralized(text)) == text
    assert not is_formula(neutralized(text))
    assert (neutralized(text) == text) == (not is_formula(text.lstrip("'")))


@pytest.mark.parametrize(
    "text", [FORMULA, "+82", "-5도", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠a"]
)
def test_first_characters_of_a_formula(text: str) -> None:
    assert is_formula(text)
    assert neutralized(text) == f"'{text}"


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_files_hold_texts_as_they_are_and_the_formulas_are_counted(tmp_path: Path) -> None:
    cells = CsvCells()
    predictions = [prediction(FORMULA, example_id="@a"), prediction("가", example_id="-1"), prediction("'=1")]
    for _ in range(2):  # counted anew with every writing
        write_predictions(predictions, tmp_path, cells=cells)
    assert [row[1:] for row in rows_of(tmp_path / "predictions.csv")[1:3]] == [["@a", FORMULA], ["-1", "가"]]
    assert cells.counts["predictions.csv"] == 3
    assert cells.lines() == [
        "warning: cells that begin as a spreadsheet's formula (=, +, -, @): 3 in predictions.csv; --safe_csv has them "
        "shown"
    ]
    assert CsvCells().lines() == []


def test_safe_files_hold_none_and_numbers_stay_numbers(tmp_path: Path) -> None:
    cells = CsvCells(is_safe=True)
    write_predictions([prediction(FORMULA, example_id="=a"), prediction("'=1", example_id="b")], tmp_path, cells=cells)
    score = SliceScore(name="=x=7", num_rows=1, score="rouge_sum", value=-1.5, low=None, high=None, difference=-2.0)
    write_slices([score], tmp_path, cells=cells)
    rows = rows_of(tmp_path / "predictions.csv")[1:]
    assert [row[1:] for row in rows] == [["'=a", f"'{FORMULA}"], ["b", "''=1"]]
    assert [restored(row[2]) for row in rows] == [FORMULA, "'=1"]
    assert rows_of(tmp_path / "slices.csv")[1] == ["'=x=7", "1", "rouge_sum", "-1.5", "", "", "-2.0"]
    assert '"example_id": "=a"' in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8")
    assert cells.lines() == [
        "cells that begin as a spreadsheet's formula (=, +, -, @): 2 in predictions.csv, 1 in slices.csv; each got an "
        "apostrophe"
    ]


def test_without_sources_no_file_holds_a_dialogue_or_a_reference(tmp_path: Path) -> None:
    rows = [prediction("요약", ("참조",), example_id="a", dialogue="#Person1#: 비밀", slots=("비밀",))]
    rows.append(prediction("", ("참조",), example_id="b", dialogue="#Person1#: 비밀"))
    assert write_predictions(rows, tmp_path, has_sources=False) == 1
    assert rows_of(tmp_path / "predictions.csv")[2] == ["1", "b", NO_SUMMARY]
    text = "".join(path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
    assert "요약" in text
    assert "비밀" not in text
    assert "참조" not in text
