"""Each row scored once: any rows' scores, their intervals, slices and metrics of one's own."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.metrics import RowMetric, ScoreSettings, ScoreTable, count_foreign
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.metrics.settings import SCORE_NAMES
from kosum_pl.types import Prediction
from tests.metrics.rows import prediction, random_row, scored

SETTINGS = ScoreSettings(rouge_tokenizer="char")
ROWS = [random_row(row) for row in range(60)]
TABLE = ScoreTable.of(ROWS, SETTINGS)
some_rows = st.lists(st.integers(0, len(ROWS) - 1), min_size=1, unique=True)


class Questions:
    """A metric as a user writes it."""

    names = ("question_rate", "question_rate/many")

    def row_values(self, prediction: Prediction) -> list[tuple[float, float]]:
        number = prediction.text.count("?")
        return [(number > 0, 1), (number > 1, 1)] if prediction.text else []


def evaluated(
    rows: list[Prediction], stage: str = "val", metrics: tuple[RowMetric, ...] = (), **options: Any
) -> tuple[ScoreTable, dict[str, float]]:
    """Rows in batches of three, as they come: not in input order."""
    scores = EvaluationScores(ScoreSettings(rouge_tokenizer="char", metrics=metrics), **options)
    order = random.Random(0).sample(range(len(rows)), len(rows))
    for start in range(0, len(order), 3):
        chosen = order[start : start + 3]
        scores.update(chosen, [rows[row] for row in chosen])
    return scores.finish(stage)


@settings(deadline=None, max_examples=60)
@given(some_rows)
def test_any_rows_score_what_they_score_alone_in_any_order(rows: list[int]) -> None:
    expected = TABLE.scores(rows)
    assert expected == TABLE.scores(rows[::-1]) == scored([ROWS[row] for row in rows])
    alone = TABLE.row_scores()
    if "rouge_sum" in expected:
        assert np.nanmean(alone["rouge_sum"][rows]) == pytest.approx(expected["rouge_sum"], rel=1e-12)


def test_every_score_has_an_interval_around_it() -> None:
    scores, intervals = TABLE.scores(), TABLE.intervals()
    assert {"slot_recall", "tag_recall", "foreign_per_mille/han", "swapped_speakers", *SCORE_NAMES} < scores.keys()
    assert list(intervals) == list(scores) == list(TABLE.row_scores())
    for name, (low, high) in intervals.items():
        assert low < scores[name] < high, name


def test_intervals_depend_on_the_rows_and_the_seed_alone() -> None:
    rows = range(10, 40)
    assert TABLE.intervals(rows) == ScoreTable.of(ROWS[10:40], SETTINGS).intervals()
    assert TABLE.intervals(rows) != TABLE.intervals(rows, seed=1)
    assert TABLE.intervals([3]) == {}


def test_no_rows_have_no_scores() -> None:
    empty = ScoreTable.of([], SETTINGS)
    assert (empty.scores(), empty.intervals(), empty.slice_scores) == ({}, {}, [])


def test_a_slice_has_the_scores_of_its_rows_alone() -> None:
    table, scores = evaluated(ROWS, slices=["weekday", "id", "absent"])
    assert table.predictions == ROWS
    assert {name: f"val/{name}" in scores for name in table.scores()} == dict.fromkeys(table.scores(), True)
    assert list(table.slices) == ["weekday=0", "weekday=1", "weekday=2"]
    for value in "012":
        rows = [row for row in ROWS if row.profile["weekday"] == value]
        expected = {f"val/{name}/weekday={value}": score for name, score in scored(rows).items()}
        assert {name: score for name, score in scores.items() if name.endswith(f"={value}")} == {
            **expected,
            f"val/num_rows/weekday={value}": len(rows),
        }


def test_slice_scores_are_what_is_logged_with_interval_and_difference() -> None:
    table, logged = evaluated(ROWS[:20], slices=None)
    names = dict.fromkeys(line.name for line in table.slice_scores)
    assert list(names) == ["all", "weekday=0", "weekday=1", "weekday=2", *(f"length=q{i}" for i in (1, 2, 3, 4))]
    whole = table.scores()
    for line in table.slice_scores:
        suffix = "" if line.name == "all" else f"/{line.name}"
        assert line.value == logged[f"val/{line.score}{suffix}"]
        assert line.difference == line.value - whole[line.score]
        assert line.num_rows == logged.get(f"val/num_rows{suffix}", 20)
        assert line.low is not None
        assert line.high is not None
        assert line.low <= line.value <= line.high
    assert all(line.low is line.high is None for line in evaluated(ROWS[:1])[0].slice_scores)


def test_contamination_is_counted_before_and_after_post_processing() -> None:
    rates = scored(ROWS, "contamination_rate", "raw_contamination_rate")
    for name, texts in (("contamination_rate", "text"), ("raw_contamination_rate", "raw_text")):
        assert rates[name] == sum(bool(count_foreign(getattr(row, texts), row.dialogue)) for row in ROWS) / len(ROWS)
    assert len(set(rates.values())) == 2


def test_steps_say_how_many_rows_they_changed() -> None:
    rows = [prediction("비", changed_steps=("nfc",) * (row < 2), attempts=2 - (row > 0)) for row in range(5)]
    scores = evaluated(rows, steps=["ftfy", "nfc"])[1]
    found = {
        name: value for name, value in scores.items() if name.split("/")[1] in ("changed_rows", "regenerated_rows")
    }
    assert found == {"val/changed_rows/ftfy": 0, "val/changed_rows/nfc": 2, "val/regenerated_rows": 1}


def test_rows_without_references_are_scored_by_what_needs_none() -> None:
    scores = evaluated([prediction("비", raw_text="漢" * row, slots=("비",)) for row in (0, 1)], stage="predict")[1]
    assert scores["predict/raw_contamination_rate"] == 0.5
    assert not [name for name in scores if any(word in name for word in ("rouge", "loss", "slot", "tag"))]


def test_a_metric_of_ones_own_has_slices_intervals_and_a_name() -> None:
    rows = [prediction("비?" if row % 3 else "", ["비"], profile={"half": str(row % 2)}) for row in range(12)]
    table, scores = evaluated(rows, metrics=(Questions(),), slices=["half"])
    assert scores["val/question_rate"] == scores["val/question_rate/half=1"] == 1
    assert not [name for name in scores if "many" in name], "a part that is 0"
    assert table.intervals()["question_rate"] == (1, 1)
    assert ("half=0", "question_rate") in {(line.name, line.score) for line in table.slice_scores}
    assert table.settings.score_names[-1] == "question_rate"
    assert scored(
        [prediction("왜??"), prediction("??"), prediction("비")], "question_rate", metrics=(Questions(),)
    ) == (pytest.approx({"question_rate": 2 / 3, "question_rate/many": 2 / 3}))


@pytest.mark.parametrize("values", [[(1, 1)] * 2, [(1, float("nan"))], [1], 3, "ab", [("a", 1)]])
def test_a_metric_that_gives_no_pairs_is_named(values: Any) -> None:
    class Odd:
        names = ("odd",)

        def row_values(self, prediction: Prediction) -> Any:
            return values

    with pytest.raises(ValueError, match=r"^metric Odd: row row has .* for the scores odd; give one \(numerator, "):
        scored([prediction("비")], metrics=(Odd(),))


@pytest.mark.parametrize(
    ("name", "message"),
    [("rouge1", "two scores are named 'rouge1'"), ("loss", "two scores are"), ("bleu", "two"), ("a=b", "use letters")],
)
def test_a_name_that_means_something_else_is_refused(name: str, message: str) -> None:
    class Odd(Questions):
        names = (name, "other")

    with pytest.raises(ValueError, match=rf"^metrics: .*{message}"):
        EvaluationScores(ScoreSettings(rouge_tokenizer="char", metrics=(Odd(),)))


def test_five_hundred_rows_in_twenty_slices_take_seconds_at_most() -> None:
    table, _ = evaluated([random_row(row) for row in range(500)])
    start = time.process_time()
    sliced = ScoreTable(
        metrics=table.metrics,
        predictions=table.predictions,
        vectors=table.vectors,
        slices={f"part={part}": range(500) for part in range(20)},
    )
    assert len({line.name for line in sliced.slice_scores}) == 21
    assert time.process_time() - start < 2.5
