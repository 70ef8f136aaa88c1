"""Recall of speakers and masked values."""

from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.metrics import TagRecall, tag_recall


@pytest.mark.parametrize(
    ("prediction", "reference", "recall"),
    [
        ("#Person1#이 온다.", "#Person1#이 온다.", 1.0),
        ("#Person3#이 온다.", "#Person1#은 #Person2#를 본다.", 0.0),
        ("#Person2# #Person2#", "#Person1#은 #Person2#와 #Person2#", 0.5),
        ("#Person11#이 온다.", "#Person1#이 온다.", 0.0),
        ("#Person1이 온다.", "#Person1#이 온다.", 0.0),
        ("#PhoneNumber#로", "#Person1#은 #PhoneNumber#와 #Address#와 #Email#", 0.25),
        ("비가 온다.", "비가 온다.", None),
        ("#Person1#", "#서울 맛집 #1#", None),
    ],
)
def test_share_of_different_tags(prediction: str, reference: str, recall: float | None) -> None:
    assert tag_recall(prediction, reference) == recall


def test_mean_over_rows_with_tags_of_their_first_reference() -> None:
    metric = TagRecall()
    metric.update(["#Person1#", "없다"], [["#Person1#은 #Person2#"], ["없다", "#Person1#"]])
    metric.update(["#Person1#"], [["#Person1#", "#Person2#"]])
    assert {name: float(value) for name, value in metric.compute().items()} == {"tag_recall": 0.75}


def test_nothing_to_measure_is_no_score() -> None:
    metric = TagRecall()
    metric.update(["비"], [["비"]])
    assert metric.compute() == {}


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^TagRecall has seen no row; give it predictions before compute\(\)"):
        TagRecall().compute()


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (["가"], [], "TagRecall got 1 predictions, 0 references; give one of each a row"),
        (["가"], [[]], "TagRecall: row 0 has no reference; leave it out, as nothing can be measured on it"),
    ],
)
def test_wrong_rows_are_named(predictions: Any, references: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^TagRecall") as caught:
        TagRecall().update(predictions, references)
    assert str(caught.value) == message


def test_ranks_add_up() -> None:
    first, second, whole = TagRecall(), TagRecall(), TagRecall()
    first.update(["#Person1#"], [["#Person1# #Person2# #Person3#"]])
    second.update(["#Person1#", "비"], [["#Person1#"], ["비"]])
    whole.update(["#Person1#", "#Person1#", "비"], [["#Person1# #Person2# #Person3#"], ["#Person1#"], ["비"]])
    first.merge_state(second)
    assert first.compute() == whole.compute()
    assert float(whole.compute()["tag_recall"]) == pytest.approx(2 / 3, abs=1e-11)
