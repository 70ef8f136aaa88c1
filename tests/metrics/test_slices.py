"""Rows of one value of a profile column."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics.slices import slice_names


def named(values: list[str]) -> list[str]:
    slices, _ = slice_names([{"a": value} for value in values], columns=["a"])
    return [name.removeprefix("a=") for name in slices]


def test_columns_keep_their_order_and_rows_theirs() -> None:
    rows = [{"topic": "여행", "weekday": "6"}, {"weekday": "1"}, {"topic": "쇼핑", "weekday": "6"}, {"topic": "여행"}]
    slices, skipped = slice_names(rows, columns=["weekday", "none", "topic", "weekday"])
    assert list(slices.items()) == [
        ("weekday=1", [1]),
        ("weekday=6", [0, 2]),
        ("topic=쇼핑", [2]),
        ("topic=여행", [0, 3]),
    ]
    assert skipped == ()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["10", "9", "-1", "2.5", "2"], ["-1", "2", "2.5", "9", "10"]),
        (["b", "10", "a", "nan", "2"], ["2", "10", "a", "b", "nan"]),
        (["topic10", "topic2", "topic", "2a", "a2"], ["2a", "a2", "topic", "topic2", "topic10"]),
        (["07", "7", "1"], ["1", "07", "7"]),
        (["6.0", " 6", "", "  ", "7"], ["6", "7"]),
        (["다", "가", "나"], ["가", "나", "다"]),
    ],
)
def test_natural_order(values: list[str], names: list[str]) -> None:
    assert named(values) == names


def test_an_id_is_no_slice_and_is_told() -> None:
    rows = [{"id": str(row), "half": str(row % 2)} for row in range(13)]
    assert slice_names(rows[:12], columns=["id"]) == ({f"id={row}": [row] for row in range(12)}, ())
    slices, skipped = slice_names(rows, columns=["id", "half", "id"])
    assert list(slices) == ["half=0", "half=1"]
    assert skipped == ("id",)
    assert slice_names(rows, columns=["id", "half"], max_values=1) == ({}, ("id", "half"))


def test_no_rows_have_no_slices() -> None:
    assert slice_names([], columns=["weekday"]) == ({}, ())


def test_a_bare_text_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"^slices: columns are the bare text 'weekday'; give a list of profile columns$"
    ):
        slice_names([], columns="weekday")


CELLS = st.sampled_from(["", "1", "10", "2", "x1", "x10", "가", "①", "²", "1a"])


@given(rows=st.lists(st.dictionaries(st.sampled_from("ab"), CELLS)))
def test_a_columns_slices_share_out_its_rows(rows: list[Mapping[str, str]]) -> None:
    slices, skipped = slice_names(rows, columns=["a", "b"])
    assert not skipped
    for column in "ab":
        shared_out = [row for name, numbers in slices.items() if name.startswith(f"{column}=") for row in numbers]
        assert sorted(shared_out) == [row for row, profile in enumerate(rows) if profile.get(column)]
    for name, numbers in slices.items():
        column, _, value = name.partition("=")
        assert {rows[row][column] for row in numbers} == {value}
