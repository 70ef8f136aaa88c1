from __future__ import annotations

import math

import pytest

from kosum_pl.runs.history import Criterion, ValidationHistory


def add(history: ValidationHistory, step: int, criterion: Criterion | None = None, **scores: float) -> bool:
    named = {f"val/{name}": value for name, value in scores.items()}
    return history.add(
        named, step=step, epoch=step // 10, record={"preset": "fast"}, criterion=criterion or Criterion()
    )


@pytest.mark.parametrize(
    ("criterion", "validations", "is_best"),
    [
        (Criterion(), [{"rouge_sum": score} for score in (5.0, 9.0, 9.0, 8.0)], [True, True, False, False]),
        (Criterion(), [{"rouge_sum": score} for score in (math.nan, 0.5, math.nan)], [True, True, False]),
        # Without the metric the loss decides, until one has it.
        (Criterion(), [{"loss": 3.0}, {"loss": 2.0}, {"loss": 2.5}, {"rouge_sum": 1.0}], [True, True, False, True]),
        (
            Criterion(monitor="val/loss", is_lower_better=True),
            [{"loss": loss} for loss in (2.0, 1.0, 3.0)],
            [True, True, False],
        ),
    ],
)
def test_the_best_has_the_highest_score_and_of_equal_ones_is_the_earliest(
    criterion: Criterion, validations: list[dict[str, float]], is_best: list[bool]
) -> None:
    history = ValidationHistory()
    assert [add(history, step, criterion, **scores) for step, scores in enumerate(validations, 10)] == is_best
    best_step = max(step for step, is_new in enumerate(is_best, 10) if is_new)
    assert history.best_record == {"preset": "fast", "best_step": best_step, "best_epoch": 1}


def test_a_second_look_at_a_step_adds_to_its_line_and_changes_nothing_in_it() -> None:
    history = ValidationHistory()
    add(history, 20, loss=3.0)
    history.add(
        {"val/loss": 9.0, "val/rouge_sum": 70.0}, step=20, epoch=7, record={"preset": "a"}, criterion=Criterion()
    )
    assert history.lines == [{"step": 20, "epoch": 2, "val/loss": 3.0, "val/rouge_sum": 70.0}]
    assert history.best_scores == {"val/loss": 3.0, "val/rouge_sum": 70.0}
    assert history.best_record == {"preset": "a", "best_step": 20, "best_epoch": 2}


def test_state_survives_a_checkpoint_and_lines_end_at_its_step() -> None:
    history = ValidationHistory()
    add(history, 10, rouge_sum=9.0)
    add(history, 20, rouge_sum=8.0)
    resumed = ValidationHistory()
    resumed.load_state_dict(history.state_dict())
    resumed.take_lines(history.lines, until_step=10)
    assert [line["step"] for line in resumed.lines] == [10]
    assert not add(resumed, 20, rouge_sum=9.0)
    assert resumed.best_record["best_step"] == 10
