"""Which preset serves which row."""

from __future__ import annotations

import re

import pytest

from kosum_pl.decode import DecodingPreset, PresetRouter, load_preset
from kosum_pl.decode.router import idle_conditions

SATURDAY = DecodingPreset(name="saturday", when={"weekday": 7})
TRAVEL = DecodingPreset(name="travel", when={"topic": ["여행", "호텔 예약"]})
PLAIN = DecodingPreset(name="plain")


def test_first_match_wins() -> None:
    router = PresetRouter(presets=(SATURDAY, TRAVEL, PLAIN))
    assert router.preset_for({"weekday": "7", "topic": "여행"}) is SATURDAY
    assert router.preset_for({"weekday": "3", "topic": "여행"}) is TRAVEL
    assert router.preset_for({"weekday": "3", "topic": "쇼핑"}) is PLAIN
    assert router.preset_for({}) is PLAIN
    assert PresetRouter(presets=(TRAVEL, SATURDAY)).preset_for({"weekday": "7", "topic": "여행"}) is TRAVEL


def test_rows_that_nothing_matches_get_the_shipped_default() -> None:
    assert PresetRouter(presets=(SATURDAY,)).preset_for({"weekday": "1"}) == load_preset("default")
    assert PresetRouter().preset_for({"weekday": "7"}) == load_preset("default")


def test_forced_serves_every_row() -> None:
    router = PresetRouter(forced=SATURDAY, presets=(TRAVEL, PLAIN))
    assert router.preset_for({"weekday": "1", "topic": "여행"}) is SATURDAY
    assert router.candidates == (SATURDAY,)


def test_candidates() -> None:
    assert PresetRouter(presets=(SATURDAY, PLAIN)).candidates == (SATURDAY, PLAIN)
    assert PresetRouter(presets=(SATURDAY,), default=PLAIN).candidates == (SATURDAY, PLAIN)


def test_unreachable_preset_is_an_error() -> None:
    message = (
        "preset 'plain' has no `when` and serves every row, so 'saturday' behind it never serves one; put 'plain' last "
        "in model.presets"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        PresetRouter(presets=(PLAIN, SATURDAY))


def test_names_are_unique() -> None:
    other = DecodingPreset(name="saturday", when={"weekday": 6})
    with pytest.raises(
        ValueError, match=r"^two different presets are named 'saturday'; give one of them another name$"
    ):
        PresetRouter(presets=(SATURDAY, other))
    assert PresetRouter(presets=(SATURDAY, SATURDAY), default=PLAIN).candidates == (SATURDAY, SATURDAY, PLAIN)


def test_a_condition_that_holds_for_no_row_is_said() -> None:
    presets = [
        DecodingPreset(name="weekend", when={"weekday": [6, 7]}),
        DecodingPreset(name="travel", when={"topic": "여행"}),
        DecodingPreset(name="both", when={"weekday": 7, "topic": "쇼핑"}),
        DecodingPreset(name="rest"),
    ]
    profiles = [{"topic": "여행", "weekday": ""}, {"topic": "의료"}]
    assert idle_conditions(presets, profiles, split="val") == [
        "preset 'weekend' serves no row of val: none has the column 'weekday' of its when",
        "preset 'both' serves no row of val: none has the column 'weekday' of its when",
        "preset 'both' serves no row of val: none has topic=쇼핑",
    ]
    assert idle_conditions(presets, [{"topic": "여행", "weekday": "7.0"}, {"topic": "쇼핑"}], split="val") == []
