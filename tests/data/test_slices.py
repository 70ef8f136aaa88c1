"""Rows that satisfy conditions as they are typed, and rows by value of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.data.slices import SliceFilter, check_slice_columns, length_quartiles, slice_names
from kosum_pl.types import Dialogue

WEEKDAYS = ("6", "7.0", "7", "", "1", "7", "10", "6")
TOPICS = ("여행", "여행, 쇼핑", "쇼핑", "여행", "회의", "회의", "여행", "쇼핑")


def dialogues(number: int = 8) -> list[Dialogue]:
    return [
        Dialogue(
            example_id=f"row_{row}",
            text="가" * (row * 7 % 8 + 1),
            profile={"weekday": WEEKDAYS[row], "topic": TOPICS[row], "note": ""},
        )
        for row in range(number)
    ]


def rows_of(*conditions: str, number: int = 8) -> list[int]:
    found: list[int] = SliceFilter.parse(conditions).rows(dialogues(number), split="val").tolist()
    return found


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        (["weekday=7"], [1, 2, 5]),
        (["weekday=7.0"], [1, 2, 5]),
        ([" weekday = 6 , 10 "], [0, 6, 7]),
        (["weekday=6,99"], [0, 7]),
        (["weekday=7", "topic=회의"], [5]),
        (["topic=여행, 쇼핑"], [1]),
        (["topic=여행,회의"], [0, 3, 4, 5, 6]),
        (["length=q1"], [0, 7]),
        (["length=q4", "weekday=7"], [1, 2]),
        (["length=q1,q4"], [0, 1, 2, 7]),
    ],
)
def test_rows(conditions: list[str], rows: list[int]) -> None:
    assert rows_of(*conditions) == rows


@pytest.mark.parametrize(
    ("conditions", "number", "message"),
    [
        (["wekday=7"], 8, r"^slice wekday=7: val has no column 'wekday'; there are: weekday, topic, length$"),
        (["length=q1"], 7, r"val has no column 'length'; there are: weekday, topic$"),
        (["note=x"], 8, r"val has no column 'note'"),
        (["weekday=8,9"], 8, r"^slice weekday=8,9: no row of val matches; values of weekday: 1, 6, 7, 10$"),
        (["weekday=10", "topic=회의"], 8, r"^slice weekday=10 topic=회의: rows of val match each condition, none"),
    ],
)
def test_a_slice_without_rows_says_what_there_is(conditions: list[str], number: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows_of(*conditions, number=number)


def test_not_all_of_many_values_are_named() -> None:
    many = [Dialogue(example_id=str(row), text="가", profile={"id": str(row)}) for row in range(1000)]
    with pytest.raises(ValueError, match=r"values of id: 0, 1, 2, .*, 11 and 988 more$"):
        SliceFilter.parse(["id=x"]).rows(many, split="test")


@pytest.mark.parametrize("text", ["weekday", "=7", "weekday=", "weekday= , ", ""])
def test_half_a_condition_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"^slice '.*': write column=value or column=value,value"):
        SliceFilter.parse([text])


def test_no_condition_is_no_filter() -> None:
    assert not SliceFilter.parse([])
    assert SliceFilter.parse(["a=b"])


@given(st.lists(st.integers(0, 50), min_size=8))
def test_quartiles_share_out_rows_by_length_alone(lengths: list[int]) -> None:
    found = length_quartiles(lengths)
    assert set(found) <= {"q1", "q2", "q3", "q4"}
    assert [name for _, name in sorted(zip(lengths, found, strict=True))] == sorted(found)
    assert len({(length, name) for length, name in zip(lengths, found, strict=True)}) == len(set(lengths))
    assert length_quartiles(lengths[::-1]) == found[::-1]
    assert found.count("q1") >= len(lengths) / 4
    if len(set(lengths)) == len(lengths):
        assert max(found.count(name) for name in set(found)) <= len(lengths) / 4 + 1


def test_too_few_rows_have_no_quartiles() -> None:
    assert length_quartiles(range(7)) == [""] * 7
    assert length_quartiles([]) == []


def named(values: list[str]) -> list[str]:
    slices = slice_names([{"a": value} for value in values], columns=["a"])
    return [name.removeprefix("a=") for name in slices]


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


def test_an_id_is_no_slice() -> None:
    rows = [{"id": str(row), "half": str(row % 2)} for row in range(13)]
    assert slice_names(rows[:12], columns=["id"]) == {f"id={row}": [row] for row in range(12)}
    assert list(slice_names(rows, columns=["id", "half", "id"])) == ["half=0", "half=1"]


CELLS = st.sampled_from(["", "1", "10", "2", "x1", "x10", "가", "①", "²", "1a"])


@given(rows=st.lists(st.dictionaries(st.sampled_from("ab"), CELLS)))
def test_a_columns_slices_share_out_its_rows(rows: list[Mapping[str, str]]) -> None:
    slices = slice_names(rows, columns=["a", "b"])
    for column in "ab":
        shared_out = [row for name, numbers in slices.items() if name.startswith(f"{column}=") for row in numbers]
        assert sorted(shared_out) == [row for row, profile in enumerate(rows) if profile.get(column)]
    for name, numbers in slices.items():
        column, _, value = name.partition("=")
        assert {rows[row][column] for row in numbers} == {value}


SUNDAYS = [{"weekday": "7"}] * 8
QUARTERS = {f"length=q{quarter + 1}": [2 * quarter, 2 * quarter + 1] for quarter in range(4)}


@pytest.mark.parametrize(
    ("rows", "columns", "lengths", "slices"),
    [
        # Columns keep their order, values stand in theirs.
        (
            [{"topic": "여행", "weekday": "6"}, {"weekday": "1"}, {"topic": "쇼핑", "weekday": "6"}, {"topic": "여행"}],
            ["weekday", "none", "topic", "weekday"],
            (),
            {"weekday=1": [1], "weekday=6": [0, 2], "topic=쇼핑": [2], "topic=여행": [0, 3]},
        ),
        ([], ["weekday"], (), {}),
        # None means all columns and quartiles of length; named columns alone have none.
        (SUNDAYS, None, range(8), {"weekday=7": list(range(8)), **QUARTERS}),
        (SUNDAYS, ["weekday"], range(8), {"weekday=7": list(range(8))}),
        (SUNDAYS, ["length"], range(8), QUARTERS),
        (SUNDAYS[:7], ["length"], range(7), {}),
        (SUNDAYS, ["length"], (), {}),
        (SUNDAYS, [], range(8), {}),
        # A column of the data that is named so is taken as it is.
        (
            [{"length": "short" if row < 3 else "long"} for row in range(8)],
            None,
            range(8),
            {"length=long": [3, 4, 5, 6, 7], "length=short": [0, 1, 2]},
        ),
    ],
)
def test_slices_of_columns(
    rows: list[dict[str, str]], columns: list[str] | None, lengths: Sequence[int], slices: dict[str, list[int]]
) -> None:
    assert list(slice_names(rows, columns=columns, lengths=lengths).items()) == list(slices.items())


def test_a_bare_text_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^slices: columns are the bare text 'weekday'; give a list of"):
        slice_names([], columns="weekday")


def test_a_column_that_no_row_has_is_refused() -> None:
    rows = [
        Dialogue(example_id=name, text="가", references=("나",), profile=profile)
        for name, profile in (("a", {"topic": "여행", "weekday": ""}), ("b", {"topic": ""}))
    ]
    for wanted in (None, [], ["topic"], ["length", "topic"]):
        check_slice_columns(wanted, rows, split="val")
    for name in ("weekday", "topic=여행"):
        with pytest.raises(ValueError, match=rf"model.slices names '{name}', .* of val has; there are: topic, length"):
            check_slice_columns(["topic", name], rows, split="val")
