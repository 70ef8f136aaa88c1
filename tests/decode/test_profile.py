"""Conditions on a row's profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import Columns, read_dialogues
from kosum_pl.data.slices import SliceFilter
from kosum_pl.decode import DecodingPreset
from kosum_pl.decode.profile import is_match, read_conditions
from kosum_pl.types import profile_text


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


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ((7, 7.0, "7", "7.0", " +7.0 ", "+7"), "7"),
        (("토 요일", " 토\n 요일", "토  요일"), "토 요일"),
        (("여행", "\u110b\u1167\u1112\u1162\u11bc"), "여행"),
        ((-3, "-3.0"), "-3"),
    ],
)
def test_rows_presets_and_slices_read_a_value_alike(cells: tuple[Any, ...], text: str, tmp_path: Path) -> None:
    lines = [json.dumps({"fname": f"row_{i}", "dialogue": "네", "topic": cell}) for i, cell in enumerate(cells)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    how = {"columns": Columns(), "cleaning": (), "on_bad_rows": "error", "needs_summary": False, "split": "val"}
    rows = list(read_dialogues(str(tmp_path / "rows.jsonl"), cache_dir=tmp_path, **how))  # type: ignore[arg-type]
    assert [row.profile for row in rows] == [{"topic": text}] * len(cells)
    for wanted in cells:
        assert all(DecodingPreset(name="a", when={"topic": wanted}).matches(row.profile) for row in rows), wanted
        assert len(SliceFilter.parse([f"topic={wanted}"]).rows(rows, split="val")) == len(cells), wanted


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
