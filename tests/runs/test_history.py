from __future__ import annotations

import math

from kosum_pl.runs.history import Criterion, ValidationHistory


def add(history: ValidationHistory, step: int, criterion: Criterion | None = None, **scores: float) -> bool:
    named = {f"val/{name}": value for name, value in scores.items()}
    return history.add(
        named, step=step, epoch=step // 10, record={"preset": "fast"}, criterion=criterion or Criterion()
    )


def test_the_best_has_the_highest_score_and_of_equal_ones_is_the_earliest() -> None:
    history = ValidationHistory()
    assert [add(history, step, rouge_sum=score) for step, score in enumerate((5.0, 9.0, 9.0, 8.0), start=10)] == [
        True,
        True,
        False,
        False,
    ]
    assert history.best_scores == {"val/rouge_sum": 9.0}
    assert history.best_record == {"preset": "fast", "best_step": 11, "best_epoch": 1}


def test_low_is_good_where_the_criterion_says_so() -> None:
    by_loss = Criterion(monitor="val/loss", is_lower_better=True)
    history = ValidationHistory()
    assert [add(history, step, by_loss, loss=loss) for step, loss in ((1, 2.0), (2, 1.0), (3, 3.0))] == [
        True,
        True,
        False,
    ]


def test_not_a_number_is_beaten_by_anything() -> None:
    history = ValidationHistory()
    assert add(history, 1, rouge_sum=math.nan)
    assert add(history, 2, rouge_sum=0.5)
    assert not add(history, 3, rouge_sum=math.nan)


def test_without_the_metric_the_loss_decides_until_one_has_it() -> None:
    history = ValidationHistory()
    assert add(history, 1, loss=3.0)
    assert add(history, 2, loss=2.0)
    assert not add(history, 3, loss=2.5)
    assert add(history, 1, rouge_sum=1.0)


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
