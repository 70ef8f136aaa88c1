"""Recall of names, times and amounts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics import SlotRecall, find_slots


@pytest.mark.parametrize(
    ("slot", "prediction", "is_found"),
    [
        ("3시", "3시에 만난다.", True),
        ("3시", "오후 3시, 역 앞", True),
        ("3시", "13시에 만난다.", False),
        ("3시", "13시가 아니라 3시", True),
        ("500원", "1,500원", False),
        ("500원", "3.500원", False),
        ("500원", "모두,500원", True),
        ("1,500원", "11,500원", False),
        ("3", "30", False),
        ("3", "3.5", False),
        ("3", "3,000", False),
        ("3", "3.", True),
        ("3", "1, 2, 3", True),
        ("10", "KTX10호", True),
        ("Tom", "Tommy", False),
        ("Tom", "Atom", False),
        ("Tom", "Tom은 간다.", True),
        ("KTX", "(KTX)", True),
        ("KTX", "ktx", False),
        ("민수", "김민수는", True),
        ("민수", "만수는", False),
        ("5만 원", "5만원", False),
        ("#Person1#", "#Person1#은", True),
        ("a.b", "axb", False),
    ],
)
def test_slots_stand_as_they_are(slot: str, prediction: str, is_found: bool) -> None:
    assert find_slots(prediction, [slot]) == [slot] * is_found


@given(numbers=st.lists(st.integers(0, 3000), min_size=1, max_size=6), wanted=st.integers(0, 3000))
def test_a_number_is_found_where_it_is_one_of_the_numbers(numbers: list[int], wanted: int) -> None:
    text = " ".join(f"{number:,}원을" for number in numbers)
    assert bool(find_slots(text, [f"{wanted:,}원"])) == (wanted in numbers)


def test_share_over_all_rows_together() -> None:
    metric = SlotRecall()
    metric.update(["민수는 13시에 온다.", "비가 온다."], [["민수", "3시", "민수"], []])
    metric.update(["KTX"], [["KTX", "부산"]])
    assert {name: float(value) for name, value in metric.compute().items()} == {"slot_recall": 0.5}


def test_nothing_to_measure_is_no_score() -> None:
    metric = SlotRecall()
    metric.update(["비"], [[]])
    assert metric.compute() == {}


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^SlotRecall has seen no row"):
        SlotRecall().compute()


@pytest.mark.parametrize(
    ("predictions", "slots", "message"),
    [
        (["가"], [], "SlotRecall got 1 predictions, 0 slots; give one of each a row"),
        (["가"], ["민수"], "SlotRecall: slots of row 0 are a bare text; give a list of texts a row"),
        (["가"], [[" "]], "SlotRecall: a slot is empty, which every summary holds; leave it out"),
    ],
)
def test_wrong_rows_are_named(predictions: Any, slots: Any, message: str) -> None:
    metric = SlotRecall()
    with pytest.raises(ValueError, match=r"^SlotRecall") as caught:
        metric.update(predictions, slots)
    assert str(caught.value) == message
    assert int(metric.num_rows) == 0


def test_ranks_add_up() -> None:
    first, second = SlotRecall(), SlotRecall()
    first.update(["가"], [["가", "나"]])
    second.update(["다", "라"], [["다"], ["마"]])
    first.merge_state(second)
    assert float(first.compute()["slot_recall"]) == 0.5
