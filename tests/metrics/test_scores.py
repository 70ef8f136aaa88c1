"""Scores of a split and of its slices."""

from __future__ import annotations

import pytest

from kosum_pl.metrics import RougeMetric, count_foreign
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.metrics.summary_scores import SCORE_NAMES, ScoreSettings
from kosum_pl.types import Prediction

SETTINGS = ScoreSettings(rouge_tokenizer="char")


def prediction(number: int, **changes: object) -> Prediction:
    values = {
        "example_id": f"row_{number}",
        "text": "#Person1#은 예약을 확인한다." if number % 2 else "예약한다.",
        "raw_text": "#Person1#은 豫約을 확인한다." if number % 3 == 0 else "예약한다.",
        "dialogue": "#Person1#: KTX 예약이요.",
        "references": ("#Person1#은 예약을 한다.",),
        "profile": {"weekday": str(number % 2 + 6), "topic": f"주제 {number}"},
        "log_prob": -1.0,
        "num_tokens": 5,
        "reached_eos": number != 4,
        "attempts": 2 if number == 1 else 1,
        "preset": "fast",
        "changed_steps": ("nfc",) if number < 2 else (),
    }
    return Prediction(**(values | changes))


def scored(predictions: list[Prediction], **options: object) -> dict[str, float]:
    scores = EvaluationScores(SETTINGS, **options)
    for place, row in enumerate(predictions):
        scores.update([place], [row])
    return scores.compute("val", scores.gather())


def test_a_slice_has_the_scores_of_its_rows_alone() -> None:
    predictions = [prediction(number) for number in range(5)]
    scores = scored(predictions, slices=["weekday"])
    for value in ("6", "7"):
        rows = [row for row in predictions if row.profile["weekday"] == value]
        alone = scored(rows)
        sliced = {name.removesuffix(f"/weekday={value}"): score for name, score in scores.items() if value in name[-1]}
        assert sliced.pop("val/num_rows") == len(rows)
        assert sliced == {
            name: score for name, score in alone.items() if name not in ("val/loss", "val/regenerated_rows")
        }
        oracle = RougeMetric(tokenizer="char")
        oracle.update([row.text for row in rows], [row.references for row in rows])
        assert sliced["val/rouge_sum"] == pytest.approx(float(oracle.compute()["rouge_sum"]), abs=1e-9)


def test_a_column_with_a_value_for_every_row_is_no_slice() -> None:
    names = scored([prediction(number) for number in range(20)], slices=["topic", "absent"])
    assert not [name for name in names if "=" in name]


def test_contamination_is_counted_before_and_after_post_processing() -> None:
    predictions = [prediction(number) for number in range(6)]
    scores = scored(predictions)
    expected = sum(bool(count_foreign(row.raw_text, row.dialogue)) for row in predictions) / 6
    assert expected == 2 / 6
    assert scores["val/raw_contamination_rate"] == expected
    assert scores["val/contamination_rate"] == 0.0
    assert {f"val/{name}" for name in SCORE_NAMES} <= scores.keys()


def test_steps_say_how_many_rows_they_changed() -> None:
    scores = scored([prediction(number) for number in range(5)], steps=["ftfy", "nfc"])
    assert scores["val/changed_rows/nfc"] == 2
    assert scores["val/changed_rows/ftfy"] == 0
    assert scores["val/regenerated_rows"] == 1


def test_rows_without_references_are_scored_by_what_needs_none() -> None:
    predictions = [prediction(number, references=()) for number in range(4)]
    scores = EvaluationScores(SETTINGS)
    scores.update(range(4), predictions)
    found = scores.compute("predict", scores.gather())
    assert found["predict/raw_contamination_rate"] == 0.5
    assert not [name for name in found if "rouge" in name or "loss" in name]
