"""What a preset may say, and which rows it serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import Columns, read_dialogues
from kosum_pl.data.slices import SliceFilter
from kosum_pl.decode import DecodingPreset
from kosum_pl.types import profile_text

SAMPLING = {"do_sample": True}
BEAMS = {"num_beams": 4}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_beams": 0}, "num_beams is 0; write a whole number of at least 1"),
        ({"num_beams": -4}, "num_beams is -4; write a whole number of at least 1"),
        ({"num_beams": True}, "num_beams is True; write a whole number of at least 1"),
        ({"num_beams": 4.0}, "num_beams is 4.0; write a whole number of at least 1"),
        ({"num_beams": "4"}, "num_beams is '4'; write a whole number of at least 1"),
        ({"num_beams": None}, "num_beams is None; write a whole number of at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0; write a whole number of at least 1"),
        ({"min_new_tokens": -1}, "min_new_tokens is -1; write a whole number of at least 0"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size is -1; write a whole number of at least 0"),
        ({"no_repeat_ngram_unit": "words"}, "no_repeat_ngram_unit is 'words'; write word or token"),
        ({"seed": -1, **SAMPLING}, "seed is -1; write a whole number of at least 0"),
        ({"top_k": 0, **SAMPLING}, "top_k is 0; write a whole number of at least 1"),
        ({"top_p": 0, **SAMPLING}, "top_p is 0; write a number above 0 and at most 1"),
        ({"top_p": 1.5, **SAMPLING}, "top_p is 1.5; write a number above 0 and at most 1"),
        (
            {"temperature": 0, **SAMPLING},
            "temperature is 0; write a number above 0 and at most 1000 (greedy decoding is do_sample: false)",
        ),
        (
            {"temperature": "1e-1", **SAMPLING},
            "temperature is '1e-1'; write a number in plain decimals above 0 and at most 1000",
        ),
        ({"temperature": float("nan"), **SAMPLING}, "temperature is nan; write a number above 0 and at most 1000"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0; write a number above 0 and at most 1000"),
        ({"repetition_penalty": None}, "repetition_penalty is None; write a number above 0 and at most 1000"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty is inf; write a number above 0 and at most 1000"),
        (
            {"length_penalty": "long", **BEAMS},
            "length_penalty is 'long'; write a number in plain decimals above -1000 and at most 1000",
        ),
        ({"do_sample": "yes"}, "do_sample is 'yes'; write true or false"),
        ({"do_sample": 1}, "do_sample is 1; write true or false"),
        ({"early_stopping": "always", **BEAMS}, "early_stopping is 'always'; write true, false or never"),
        ({"early_stopping": 1, **BEAMS}, "early_stopping is 1; write true, false or never"),
        ({"bad_words": "욕"}, "bad_words is '욕'; write a list of texts, none of them empty"),
        ({"bad_words": ["욕", " "]}, "bad_words is ['욕', ' ']; write a list of texts, none of them empty"),
        ({"temperature": 0.7}, "temperature is 0.7 without sampling; set do_sample: true or take temperature out"),
        ({"top_p": 0.9}, "top_p is 0.9 without sampling; set do_sample: true or take top_p out"),
        ({"top_k": 40}, "top_k is 40 without sampling; set do_sample: true or take top_k out"),
        ({"seed": 0}, "seed is 0 without sampling; set do_sample: true or take seed out"),
        (
            {"length_penalty": 1.5},
            "length_penalty is 1.5 with one beam, where it does nothing; "
            "set num_beams above 1 or take length_penalty out",
        ),
        (
            {"early_stopping": "never"},
            "early_stopping is 'never' with one beam, where it does nothing; "
            "set num_beams above 1 or take early_stopping out",
        ),
        (
            {"min_new_tokens": 20, "max_new_tokens": 10},
            "min_new_tokens is 20, above max_new_tokens 10; lower the first",
        ),
    ],
)
def test_wrong_values_are_named_with_their_remedy(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"^preset 'mine': ") as caught:
        DecodingPreset(name="mine", **values)
    assert str(caught.value) == f"preset 'mine': {message}"


@pytest.mark.parametrize("name", ["", "  ", None, 7])
def test_a_preset_needs_a_name(name: Any) -> None:
    with pytest.raises(ValueError, match=r"^preset: name is .*; give it a text$"):
        DecodingPreset(name=name)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"num_beams": 4, "length_penalty": -1.0, "early_stopping": "never"},
        {"do_sample": True, "temperature": 1, "top_p": 1, "top_k": 1, "seed": 0},
        {"do_sample": True},
        {"min_new_tokens": 10, "max_new_tokens": 10},
        {"num_beams": 2, "do_sample": True, "temperature": 2.5},
    ],
)
def test_right_values_are_taken(values: dict[str, Any]) -> None:
    preset = DecodingPreset(name="mine", **values)
    assert all(getattr(preset, key) == value for key, value in values.items())


def test_whole_numbers_become_floats_and_lists_tuples() -> None:
    words: Any = ["욕", "나쁜 말"]
    preset = DecodingPreset(name="mine", repetition_penalty=2, bad_words=words)
    assert isinstance(preset.repetition_penalty, float)
    assert preset.bad_words == ("욕", "나쁜 말")


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


@pytest.mark.parametrize(
    ("value", "text"), [("07", "07"), (7.5, "7.5"), (-3.0, "-3"), ("1.0.0", "1.0.0"), ("", ""), ("7.", "7.")]
)
def test_only_whole_numbers_lose_their_decimals(value: Any, text: str) -> None:
    assert profile_text(value) == text


def test_list_means_any_and_columns_mean_all() -> None:
    preset = DecodingPreset(name="a", when={"topic": ["여행", "쇼핑"], "weekday": [6, 7]})
    assert preset.matches({"topic": "쇼핑", "weekday": "7.0", "place": "서울"})
    for profile in ({"topic": "쇼핑", "weekday": "17"}, {"topic": "건강", "weekday": "7"}, {"topic": "쇼핑"}):
        assert not preset.matches(profile)


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
        DecodingPreset(name="a", when=when)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)
