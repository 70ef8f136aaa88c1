"""YAML within bounds; `tests/bad_inputs/yamls.py` has what is outside of them."""

from __future__ import annotations

import time

import pytest
import yaml

from kosum_pl.errors import UsageError
from kosum_pl.plain_yaml import MAX_DEPTH, OutOfBoundsError, compose_plain, load_plain
from tests.bad_inputs.yamls import LAUGHS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1",
        "base: &base {a: 1, b: [2, 3]}\nother: {<<: *base, b: 4}\n",
        "- 요약\n- null\n- 2026-11-29\n- 1e-3\n- |\n  여러\n  줄\n",
        "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1),
    ],
)
def test_what_is_within_bounds_is_what_yaml_makes_of_it(text: str) -> None:
    assert load_plain(text, where="x.yaml") == yaml.safe_load(text)


def test_one_level_more_is_too_deep() -> None:
    with pytest.raises(OutOfBoundsError, match=r"x.yaml:1: nested more than 50 deep; write it flatter"):
        load_plain("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), where="x.yaml")


def test_aliases_are_counted_as_what_they_stand_for_at_once() -> None:
    started = time.perf_counter()
    with pytest.raises(OutOfBoundsError, match=r"more than 200,000 values"):
        compose_plain(LAUGHS, where="x.yaml")
    assert time.perf_counter() - started < 1


def test_a_key_that_stands_twice_is_named_with_its_line() -> None:
    with pytest.raises(UsageError, match=r"x.yaml:3: key 'b' stands twice in one mapping; the first would be lost"):
        load_plain("a:\n  b: 1\n  b: 2\n", where="x.yaml")
