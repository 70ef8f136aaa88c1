"""The lines of `slices.csv`."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pytest

from kosum_pl.metrics.row_scores import RowScores
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.metrics.slice_scores import SLICES_FILE, SliceScores
from kosum_pl.metrics.summary_scores import ScoreSettings
from kosum_pl.types import Prediction

SETTINGS = ScoreSettings(rouge_tokenizer="char")


def predictions(number: int) -> list[Prediction]:
    return [
        Prediction(
            example_id=f"row_{row}",
            text="민수는 3시에 온다."[: 3 + row % 8],
            raw_text="민수는 온다.",
            dialogue="#Person1#: 와라." + "네" * row,
            references=("민수는 3시에 학교에 온다.",),
            profile={"weekday": str(row % 3), "id": str(row)},
            log_prob=-1.0,
            num_tokens=5,
            reached_eos=row % 4 > 0,
            attempts=1,
            preset="fast",
        )
        for row in range(number)
    ]


def evaluated(number: int, slices: list[str] | None) -> tuple[dict[str, float], SliceScores]:
    scores = EvaluationScores(SETTINGS, slices=slices)
    scores.update(range(number), predictions(number))
    flat = scores.compute("val", scores.gather())
    assert scores.slice_scores is not None
    return flat, scores.slice_scores


def test_the_table_holds_what_is_logged() -> None:
    flat, slices = evaluated(20, None)
    values = {(line.name, line.score): line for line in slices.table}
    names = {name for name, _ in values}
    assert names == {"all", "weekday=0", "weekday=1", "weekday=2", *(f"length=q{i}" for i in (1, 2, 3, 4))}
    for (name, score), line in values.items():
        suffix = "" if name == "all" else f"/{name}"
        assert line.value == flat[f"val/{score}{suffix}"]
        assert line.difference == line.value - flat[f"val/{score}"]
        assert line.low is not None
        assert line.high is not None
        assert line.low <= line.value <= line.high
        if suffix:
            assert line.num_rows == flat[f"val/num_rows{suffix}"]
    logged = {name.removeprefix("val/") for name in flat if "=" in name}
    assert logged == {f"{score}/{name}" for name, score in values if name != "all"} | {
        f"num_rows/{name}" for name in names - {"all"}
    }


@pytest.mark.parametrize(("slices", "names"), [([], {"all"}), (["weekday"], {"all", "weekday=0", "weekday=1"})])
def test_a_list_names_all_the_columns(slices: list[str], names: set[str]) -> None:
    flat, scores = evaluated(2, slices)
    assert {line.name for line in scores.table} == names
    assert any("=" in name for name in flat) == bool(slices)
    single = [line for line in scores.table if line.num_rows == 1]
    assert all(line.low is None and line.high is None for line in single)


def test_the_file_says_the_same(tmp_path: Path) -> None:
    _, slices = evaluated(9, ["weekday"])
    slices.write(tmp_path)
    rows = list(csv.DictReader((tmp_path / SLICES_FILE).open(encoding="utf-8", newline="")))
    assert list(rows[0]) == ["slice", "num_rows", "score", "value", "low", "high", "difference"]
    assert [(row["slice"], row["score"], float(row["value"]), float(row["low"])) for row in rows] == [
        (line.name, line.score, line.value, line.low) for line in slices.table
    ]
    assert [path.name for path in tmp_path.iterdir()] == [SLICES_FILE]


def test_no_rows_have_no_table() -> None:
    assert SliceScores(RowScores(SETTINGS, []), {}).table == []


def test_five_hundred_rows_in_twenty_slices_take_seconds_at_most() -> None:
    rows = RowScores(SETTINGS, predictions(500))
    assert len(rows.states) == 500
    slices = SliceScores(rows, {f"part={part}": range(500) for part in range(20)})
    start = time.process_time()
    assert len({line.name for line in slices.table}) == 21
    assert time.process_time() - start < 2.5
