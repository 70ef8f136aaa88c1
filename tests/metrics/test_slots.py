"""Recall of names, times and amounts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics import find_slots


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
