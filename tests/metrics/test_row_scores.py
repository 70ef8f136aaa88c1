"""Each row scored once: any rows' scores equal those of fresh metrics, and their parts give the same ratios."""

from __future__ import annotations

import random
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.metrics.row_scores import RATIOS, RowScores
from kosum_pl.metrics.summary_scores import ScoreSettings, SummaryScores
from kosum_pl.types import Prediction

SETTINGS = ScoreSettings(rouge_tokenizer="char")
WORDS = (
    "#Person1#은",
    "#Person2#가",
    "민수는",
    "KTX를",
    "豫約을",
    "3시에",
    "Ωμ",
    "타고",
    "간다.",
    "옷\ufffd",
    "ー",
    "",
)


def prediction(row: int) -> Prediction:
    draw = random.Random(row)
    text, raw, first, second = (" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(4))
    references = (f"{first} 간다.", f"{second} 온다.")[: draw.randint(0, 2)]
    return Prediction(
        example_id=f"row_{row}",
        text=text if row % 10 else ("#Person2#가 #Person1#은" if row % 20 else "#Person1#은 #Person2#가"),
        raw_text=raw,
        dialogue="#Person1#: KTX 예약이요.",
        # Every tenth row names both speakers, and some of them in the other order.
        references=references if row % 10 else ("#Person1#은 #Person2#가",),
        profile={},
        log_prob=-1.0,
        num_tokens=5,
        reached_eos=draw.random() < 0.7,
        attempts=1,
        preset="fast",
        slots=("민수", "3시")[: draw.randint(0, 2)],
    )


ROWS = [prediction(row) for row in range(60)]
SCORES = RowScores(SETTINGS, ROWS)


def fresh(rows: list[int]) -> dict[str, float]:
    chosen = [ROWS[row] for row in rows]
    scores = SummaryScores(SETTINGS, is_local=True)
    scores.update(chosen)
    return {name: float(value) for name, value in scores.compute(chosen).items()}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, len(ROWS) - 1), min_size=1, unique=True))
def test_any_rows_score_what_they_score_alone(rows: list[int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert SCORES.scores(rows) == fresh(rows)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, len(ROWS) - 1), min_size=1, unique=True))
def test_a_score_is_the_ratio_of_its_parts(rows: list[int]) -> None:
    expected = fresh(rows)
    above, below = SCORES.ratio_parts(rows, list(expected))
    assert dict(zip(expected, above.sum(axis=0) / below.sum(axis=0), strict=True)) == pytest.approx(expected, rel=1e-12)


def test_every_score_has_an_interval_around_it() -> None:
    rows = list(range(len(ROWS)))
    scores = SCORES.scores(rows)
    assert {"slot_recall", "tag_recall", "foreign_per_mille/han", "swapped_speakers"} < scores.keys() <= RATIOS.keys()
    intervals = SCORES.intervals(rows, list(scores))
    assert intervals.keys() == scores.keys()
    for name, (low, high) in intervals.items():
        assert low < scores[name] < high, name


def test_intervals_depend_on_the_rows_and_the_seed_alone() -> None:
    rows = list(range(10, 40))
    first = SCORES.intervals(rows, ["rouge_sum", "length_ratio"])
    assert first == RowScores(SETTINGS, ROWS[10:40]).intervals(range(30), ["length_ratio", "rouge_sum"])
    assert first != SCORES.intervals(rows, ["rouge_sum", "length_ratio"], seed=1)


def test_one_row_and_an_unknown_score_have_no_interval() -> None:
    assert SCORES.intervals([3], ["rouge_sum"]) == {}
    assert SCORES.intervals([3, 4], ["no_such_score"]) == {}
