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


def test_all_columns_and_quartiles_where_none_are_named() -> None:
    rows = [{"weekday": str(6 + row % 2), "id": str(row)} for row in range(16)]
    slices, skipped = slice_names(rows, columns=None, lengths=[10 * row for row in range(16)])
    assert slices == {
        "weekday=6": list(range(0, 16, 2)),
        "weekday=7": list(range(1, 16, 2)),
        **{f"length=q{quarter + 1}": list(range(4 * quarter, 4 * quarter + 4)) for quarter in range(4)},
    }
    assert skipped == ("id",)


def test_quartiles_only_where_they_are_asked_for_and_can_be_drawn() -> None:
    rows = [{"weekday": "7"}] * 8
    assert list(slice_names(rows, columns=["weekday"], lengths=range(8))[0]) == ["weekday=7"]
    assert list(slice_names(rows, columns=["length"], lengths=range(8))[0]) == [f"length=q{i}" for i in (1, 2, 3, 4)]
    assert slice_names(rows[:7], columns=["length"], lengths=range(7)) == ({}, ())
    assert slice_names(rows, columns=["length"]) == ({}, ())
    assert slice_names(rows, columns=[], lengths=range(8)) == ({}, ())


def test_a_column_of_the_data_named_length_is_taken_as_it_is() -> None:
    rows = [{"length": "short" if row < 3 else "long"} for row in range(8)]
    assert slice_names(rows, columns=None, lengths=range(8))[0] == {
        "length=long": [3, 4, 5, 6, 7],
        "length=short": [0, 1, 2],
    }
