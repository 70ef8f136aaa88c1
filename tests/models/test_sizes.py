"""Sizes that no model can have, by the name of the setting that brought them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kosum_pl.models.sizes import check_sizes

OURS = "model.config_overrides"


@pytest.mark.parametrize(
    ("stored", "overrides", "line"),
    [
        ({}, {"encoder_layers": 0}, f"{OURS}.encoder_layers is 0; write a whole number from 1 on"),
        ({}, {"vocab_size": -1}, f"{OURS}.vocab_size is -1; write a whole number from 1 on"),
        ({}, {"d_model": True}, f"{OURS}.d_model is True; write a whole number from 1 on"),
        ({}, {"hidden_size": "64"}, f"{OURS}.hidden_size is '64'; write a whole number from 1 on"),
        ({"n_head": 0}, {}, "n_head of 'm' is 0; write a whole number from 1 on"),
        ({"text": {"d_ff": 4}}, {"text": {"d_ff": 0}}, f"{OURS}.text.d_ff is 0; write a whole number from 1 on"),
        (
            {"num_attention_heads": 4},
            {"hidden_size": 30},
            f"num_attention_heads of 'm' is 4, and {OURS}.hidden_size 30, which 4 does not divide; change one of them",
        ),
    ],
)
def test_the_field_and_its_place_are_named(stored: dict[str, Any], overrides: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        check_sizes({**stored, **overrides}, overrides=overrides, source="'m'")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"hidden_size": 30, "num_attention_heads": 4, "head_dim": 8},
        {"d_model": 30, "num_heads": 4, "d_kv": 8},
        {"n_embd": 32, "n_head": 4, "n_inner": None, "dropout": 0, "pad_token_id": -1},
        {"num_attention_heads": 4, "num_key_value_heads": None, "id2label": {0: "a"}},
    ],
)
def test_what_a_model_can_have_passes(fields: dict[str, Any]) -> None:
    check_sizes(fields, overrides={}, source="'m'")
