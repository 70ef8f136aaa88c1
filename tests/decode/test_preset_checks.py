"""What a preset may say."""

from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.decode import DecodingPreset

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
        ({"seed": -1, **SAMPLING}, "seed is -1; write a whole number of at least 0"),
        ({"top_k": 0, **SAMPLING}, "top_k is 0; write a whole number of at least 1"),
        ({"top_p": 0, **SAMPLING}, "top_p is 0; write a number above 0 and at most 1"),
        ({"top_p": 1.5, **SAMPLING}, "top_p is 1.5; write a number above 0 and at most 1"),
        (
            {"temperature": 0, **SAMPLING},
            "temperature is 0; write a number above 0 (greedy decoding is do_sample: false)",
        ),
        ({"temperature": "1e-1", **SAMPLING}, "temperature is '1e-1'; write a number in plain decimals above 0"),
        ({"temperature": float("nan"), **SAMPLING}, "temperature is nan; write a number above 0"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0; write a number above 0"),
        ({"repetition_penalty": None}, "repetition_penalty is None; write a number above 0"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty is inf; write a number above 0"),
        ({"length_penalty": "long", **BEAMS}, "length_penalty is 'long'; write a number in plain decimals"),
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
