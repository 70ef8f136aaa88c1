"""How candidates are generated, and which settings of theirs are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kosum_pl.decode import DecodingPreset, DecodingSettings
from kosum_pl.decode.candidates import MbrSettings
from kosum_pl.decode.regenerate import Regenerator

BEAMS = DecodingPreset(name="long", num_beams=4, length_penalty=1.5, early_stopping=True, max_new_tokens=70, seed=None)


def test_samples_keep_the_presets_limits_and_bans() -> None:
    preset = replace(BEAMS, no_repeat_ngram_size=3, min_new_tokens=2)
    found = MbrSettings(temperature=0.5, top_p=0.9).preset_for(preset)
    assert (found.num_beams, found.do_sample, found.temperature, found.top_p) == (1, True, 0.5, 0.9)
    assert (found.name, found.max_new_tokens, found.min_new_tokens, found.no_repeat_ngram_size) == ("long", 70, 2, 3)
    assert found.seed == 0


def test_beams_are_as_many_as_the_candidates_at_least() -> None:
    settings = MbrSettings(num_candidates=8, method="beam")
    assert settings.preset_for(BEAMS) == replace(BEAMS, num_beams=8)
    assert settings.preset_for(replace(BEAMS, num_beams=12)).num_beams == 12
    sampling = DecodingPreset(name="warm", do_sample=True, temperature=0.9, top_k=5, seed=3)
    assert settings.preset_for(sampling) == DecodingPreset(name="warm", num_beams=8)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"num_candidates": 2}, "num_candidates is 2; write a number from 3"),
        ({"num_candidates": 257}, "num_candidates is 257"),
        ({"method": "draw"}, "method is 'draw'; known: sample, beam"),
        ({"temperature": 0.0}, "temperature is 0.0; write a number above 0"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"weights": {"rouge3": 1.0}}, "names 'rouge3'; known: rouge1, rouge2, rougeL"),
        ({"weights": {"rouge1": -1.0}}, "rouge1 is -1.0"),
        ({"weights": {"rouge1": 0.0}}, "are all 0"),
        ({"weights": {}}, "are all 0"),
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=f"^model.mbr.*{says}"):
        MbrSettings(**values)


def test_a_row_is_chosen_for_in_one_way() -> None:
    with pytest.raises(ValueError, match=r"model\.mbr and model\.regenerator"):
        DecodingSettings.load(mbr=MbrSettings(), regenerator=Regenerator())
