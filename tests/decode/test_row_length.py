"""The limit of a row by its prompt's length: the number itself, and what a preset takes."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.decode import DecodingPreset, RowLength, load_preset

LIMIT: dict[str, Any] = {"per_source_token": 0.4, "min": 48, "max": 256}


def preset_of(limit: Any, **values: Any) -> DecodingPreset:
    return DecodingPreset(name="mine", max_new_tokens=limit, **values)


@given(st.integers(0, 5000), st.integers(1, 40), st.integers(1, 300), st.integers(0, 300))
def test_the_limit_is_the_nearest_number_within_the_bounds(source: int, twentieths: int, low: int, width: int) -> None:
    """Against fractions: every limit in between is the one nearest to the exact share."""
    limit = RowLength(per_source_token=twentieths / 20, min=low, max=low + width)
    exact = Fraction(twentieths, 20) * source
    found = limit.tokens(source)
    assert low <= found <= low + width
    assert found in {low, low + width} or abs(found - exact) <= Fraction(1, 2)
    assert limit.tokens(source + 1) >= found


def test_a_plain_number_ignores_the_prompt() -> None:
    preset = preset_of(100)
    assert [preset.max_new_tokens_of(length) for length in (0, 7, 10_000)] == [100, 100, 100]
    assert preset.most_new_tokens == 100


def test_a_rule_follows_the_prompt() -> None:
    preset = preset_of(LIMIT)
    assert [preset.max_new_tokens_of(length) for length in (0, 120, 121, 500, 640, 10_000)] == [
        48,
        48,
        48,
        200,
        256,
        256,
    ]
    assert preset.most_new_tokens == preset.generation_kwargs()["max_new_tokens"] == 256


def test_presets_with_the_same_rule_are_one_however_it_is_written() -> None:
    written, built = preset_of(LIMIT), preset_of(RowLength(per_source_token=0.4, min=48, max=256))
    assert written == built
    assert hash(written) == hash(built)
    assert repr(written) == repr(built)
    assert written != preset_of({**LIMIT, "max": 255})
    assert replace(written, num_beams=2).max_new_tokens == built.max_new_tokens
    assert preset_of({"max": 256, "min": 48, "per_source_token": 0.4}) == built


def test_records_and_files_bring_it_back(tmp_path: Path) -> None:
    preset = preset_of(LIMIT)
    assert DecodingPreset(**json.loads(json.dumps(asdict(preset)))) == preset
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"max_new_tokens": LIMIT}), encoding="utf-8")
    assert load_preset(str(tmp_path / "mine.yaml")) == preset


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({}, "max_new_tokens holds nothing; write a number, or {per_source_token: 0.4, min: 48, max: 256}"),
        (
            {"per_source_token": 0.4, "max": 256},
            "max_new_tokens holds per_source_token, max; write a number, or {per_source_token: 0.4, min: 48, max: 256}",
        ),
        (
            {**LIMIT, "most": 3},
            "max_new_tokens holds per_source_token, min, max, most; "
            "write a number, or {per_source_token: 0.4, min: 48, max: 256}",
        ),
        (
            {**LIMIT, "per_source_token": 0},
            "max_new_tokens.per_source_token is 0; write a number above 0 and at most 1000",
        ),
        (
            {**LIMIT, "per_source_token": True},
            "max_new_tokens.per_source_token is True; write a number above 0 and at most 1000",
        ),
        ({**LIMIT, "min": 0}, "max_new_tokens.min is 0; write a whole number of at least 1"),
        ({**LIMIT, "max": 9.5}, "max_new_tokens.max is 9.5; write a whole number of at least 1"),
        ({**LIMIT, "min": 300}, "max_new_tokens.min is 300, above its max 256; lower the first"),
        ("0.4", "max_new_tokens is '0.4'; write a whole number of at least 1"),
    ],
)
def test_wrong_rules_are_named_with_their_remedy(limit: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^preset 'mine': ") as caught:
        preset_of(limit)
    assert str(caught.value) == f"preset 'mine': {message}"


def test_no_row_is_asked_for_more_than_it_may_have() -> None:
    assert preset_of(LIMIT, min_new_tokens=48).min_new_tokens == 48
    with pytest.raises(ValueError, match=r"min_new_tokens is 49, above max_new_tokens\.min 48; lower the first$"):
        preset_of(LIMIT, min_new_tokens=49)
