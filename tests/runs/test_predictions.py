from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.runs.predictions import submitted_summary, unfinished_line, write_predictions
from tests.metrics.rows import prediction

DIALOGUE = "#Person1#: 첫 말\n#Person2#: 둘째 말"
# Surrogates are no UTF-8, and the csv reader of Python 3.11 refuses NUL.
TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), max_size=5)


@given(TEXTS)
def test_every_row_comes_back_in_order_and_none_is_empty(texts: list[str]) -> None:
    predictions = [prediction(text, example_id=f"id,{row}", dialogue=DIALOGUE) for row, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        num_filled = write_predictions(predictions, Path(folder))
        with (Path(folder) / "predictions.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        details = [json.loads(line) for line in (Path(folder) / "predictions.jsonl").open(encoding="utf-8")]
    assert rows[0] == ["", "fname", "summary"]
    assert [row[:2] for row in rows[1:]] == [[str(row), f"id,{row}"] for row in range(len(texts))]
    line_ends = [text.replace("\r\n", "\n").replace("\r", "\n") for text in texts]
    assert [row[2] for row in rows[1:]] == [text if text.strip() else "첫 말" for text in line_ends]
    assert num_filled == sum(not text.strip() for text in texts)
    assert [row["text"] for row in details] == texts
    assert [row["summary"] for row in details] == [row[2] for row in rows[1:]]


def test_a_dialogue_without_words_stands_in_for_itself() -> None:
    assert submitted_summary(prediction("", dialogue="#Person1#: \n#Person2#:")) == "#Person1#: #Person2#:"


def test_nothing_predicted_is_a_file_with_a_header(tmp_path: Path) -> None:
    assert write_predictions([], tmp_path) == 0
    assert (tmp_path / "predictions.csv").read_text() == ",fname,summary\n"


def test_what_the_model_did_not_end_is_counted_and_the_submission_is_as_ever(tmp_path: Path) -> None:
    rows = [prediction("간다. 온", example_id=f"dev_{number}", reached_eos=number % 2 == 0) for number in range(20)]
    assert unfinished_line(rows) == [
        "10 of 20 summaries were cut at max_new_tokens (dev_1, dev_3, dev_5, dev_7, dev_9, …)"
    ]
    assert unfinished_line(rows[:4]) == ["2 of 4 summaries were cut at max_new_tokens (dev_1, dev_3)"]
    assert unfinished_line(rows[::2]) == unfinished_line([]) == []
    write_predictions(rows[:2], tmp_path)
    assert (tmp_path / "predictions.csv").read_text(encoding="utf-8") == (
        ",fname,summary\n0,dev_0,간다. 온\n1,dev_1,간다. 온\n"
    )
    details = (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["reached_eos"] for line in details] == [True, False]
