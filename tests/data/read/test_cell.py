from __future__ import annotations

import pytest

from kosum_pl.data.read.cell import CellError, as_objects, as_profile, as_slots, as_text, as_texts, find_cell


@pytest.mark.parametrize(
    ("cell", "expected"), [(None, ""), (float("nan"), ""), (7, "7"), (7.0, "7"), (0.5, "0.5"), ("가", "가")]
)
def test_a_cell_becomes_text(cell: object, expected: str) -> None:
    assert as_text(cell) == expected


@pytest.mark.parametrize("cell", [{"a": 1}, [{"a": 1}], [1, {"a": 1}]])
def test_an_object_is_not_text(cell: object) -> None:
    with pytest.raises(CellError, match="holds objects"):
        as_text(cell)


def test_half_a_surrogate_pair_is_not_text() -> None:
    with pytest.raises(CellError, match=r"half a character \(\\ud83d\)"):
        as_text("가\ud83d")


@pytest.mark.parametrize(
    ("cell", "expected"), [(7, "7"), (7.0, "7"), ("7.0", "7"), ("7.5", "7.5"), (" 토\n요일", "토 요일")]
)
def test_profiles_of_any_format_are_alike(cell: object, expected: str) -> None:
    assert as_profile(cell) == expected


def test_a_decomposed_profile_meets_a_composed_one() -> None:
    assert as_profile("\u1112\u1161\u11ab") == "한"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("하나", ["하나"]),
        (["하나", " ", None, "둘"], ["하나", "둘"]),
        ('["하나"]', ["하나"]),
        ("[1, 2]", ["[1, 2]"]),
        (None, []),
    ],
)
def test_a_cell_of_several_references(cell: object, expected: list[str]) -> None:
    assert as_texts(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("a| b |", ("a", "b")), (["a", "b|c"], ("a", "b|c")), (None, ()), (["오후  3시"], ("오후 3시",))],
)
def test_slots(cell: object, expected: tuple[str, ...]) -> None:
    assert as_slots(cell) == expected


@pytest.mark.parametrize("cell", ["text", "[1]", None, {"a": 1}, "[{'a': __import__('os')}]"])
def test_what_is_no_list_of_objects_is_refused(cell: object) -> None:
    with pytest.raises(CellError, match="is not a list of objects"):
        as_objects(cell)


def test_a_dot_reaches_into_objects_and_a_literal_name_wins() -> None:
    values = {"a": {"b": {"c": 1}}, "a.b": 2}
    assert find_cell(values, "a.b") == 2
    assert find_cell(values, "a.b.c") == 1
    assert find_cell(values, "a.x.c") is None
    assert find_cell({"a": "text"}, "a.b") is None
