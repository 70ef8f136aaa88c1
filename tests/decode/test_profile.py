"""Conditions on a row's profile."""

from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.decode.profile import is_match, profile_text, read_conditions


@pytest.mark.parametrize("wanted", [7, "7", 7.0, "7.0", " 7 "])
@pytest.mark.parametrize("given", ["7", "7.0", "7 "])
def test_values_compare_as_text(wanted: Any, given: str) -> None:
    conditions = read_conditions({"weekday": wanted}, where="preset 'a'")
    assert is_match(conditions, {"weekday": given})
    assert not is_match(conditions, {"weekday": "17"})


@pytest.mark.parametrize(
    ("value", "text"), [("07", "07"), (7.5, "7.5"), (-3.0, "-3"), ("1.0.0", "1.0.0"), ("", ""), ("7.", "7.")]
)
def test_only_whole_numbers_lose_their_decimals(value: Any, text: str) -> None:
    assert profile_text(value) == text


def test_composed_and_decomposed_hangul_are_one() -> None:
    decomposed = "\u110b\u1167\u1112\u1162\u11bc"
    assert decomposed != "여행"
    assert is_match(read_conditions({"topic": decomposed}, where=""), {"topic": "여행"})


def test_list_means_any_and_columns_mean_all() -> None:
    conditions = read_conditions({"topic": ["여행", "쇼핑"], "weekday": [6, 7]}, where="")
    assert is_match(conditions, {"topic": "쇼핑", "weekday": "7", "place": "서울"})
    assert not is_match(conditions, {"topic": "쇼핑", "weekday": "5"})
    assert not is_match(conditions, {"topic": "건강", "weekday": "7"})
    assert not is_match(conditions, {"topic": "쇼핑"})


@pytest.mark.parametrize(
    ("when", "part"),
    [
        ("weekday", "when is 'weekday'; write a mapping"),
        (None, "when is None"),
        ({"weekday": []}, "when.weekday is an empty list"),
        ({"topic": True}, "when.topic holds True; write text or a number, in quotes"),
        ({"topic": [None]}, "when.topic holds None"),
        ({"topic": {"a": 1}}, "when.topic holds {'a': 1}"),
        ({7: "a"}, "when names the column 7"),
        ({" ": "a"}, "when names the column ' '"),
    ],
)
def test_unreadable_conditions_are_named(when: Any, part: str) -> None:
    with pytest.raises(ValueError, match=r"^preset 'a': ") as caught:
        read_conditions(when, where="preset 'a'")
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
