from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.encode import (
    TokenLimits,
)
from kosum_pl.encode.limit_rules import LimitRule, LimitRules, holding_limit
from kosum_pl.encode.table import EncodedTable, encode_table
from tests.shared_fixtures import shared_encoder, shared_rows

LENGTHS = st.lists(st.integers(1, 2000), min_size=1, max_size=400)
BOUNDS = st.none() | st.integers(2, 2500)


def naive_limit(lengths: list[int]) -> int:
    """Multiples of 64 one after another, until 995 of 1,000 rows are held."""
    limit = 64
    while 1000 * sum(length <= limit for length in lengths) < 995 * len(lengths):
        limit += 64
    return limit


@given(LENGTHS)
def test_the_limit_is_the_smallest_multiple_that_holds_enough(lengths: list[int]) -> None:
    assert holding_limit(np.array(lengths)) == naive_limit(lengths)


@given(LENGTHS, BOUNDS, BOUNDS)
def test_a_measured_limit_stays_within_its_bounds(lengths: list[int], ceiling: int | None, positions: int | None):
    rule = LimitRule(name="max_source_tokens", number=None, ceiling=ceiling)
    number, (line,) = rule.measure(np.array(lengths), num_positions=positions)
    assert number == min(each for each in (naive_limit(lengths), ceiling, positions) if each is not None)
    held = 100 * sum(length <= number for length in lengths) / len(lengths)
    shown = float(line.split(" % of ")[0].rsplit(" ", 1)[1])
    assert shown <= held + 1e-9
    assert held < shown + 0.1
    assert (", its ceiling," in line or ", all that" in line) == (number < naive_limit(lengths))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (448, (448, None)),
        ("auto", (None, None)),
        ({"auto_up_to": 1536}, (None, 1536)),
    ],
)
def test_what_a_config_may_say(value: object, expected: tuple[int | None, int | None]) -> None:
    rule = LimitRule.parse("max_source_tokens", value)
    assert (rule.number, rule.ceiling) == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("automatic", "'automatic'"),
        (True, "True"),
        ({"auto_up_to": "9"}, "{'auto_up_to': '9'}"),
        ({"auto_upto": 9}, "{'auto_upto': 9}"),
        ({"auto_up_to": 9, "min": 3}, "{'auto_up_to': 9, 'min': 3}"),
        ({}, "{}"),
        (None, "None"),
    ],
)
def test_what_it_may_not_say(value: object, shown: str) -> None:
    with pytest.raises(ValueError, match=r"data\.max_source_tokens is ") as caught:
        LimitRule.parse("max_source_tokens", value)
    assert str(caught.value) == f"data.max_source_tokens is {shown}; give a number, auto, or {{auto_up_to: NUMBER}}"


def rules(source: object, summary: object) -> LimitRules:
    return LimitRules.parse(max_source_tokens=source, max_summary_tokens=summary, truncation="middle")


@pytest.mark.parametrize("value", [0, {"auto_up_to": 0}])
def test_a_number_that_leaves_no_room_is_refused_before_anything_is_read(value: object) -> None:
    with pytest.raises(ValueError, match=r"data\.max_source_tokens is 0; give a positive number"):
        rules(value, 64)


def test_what_is_known_before_train_is_read() -> None:
    assert rules(512, "auto").unknown == ["max_summary_tokens"]
    assert rules("auto", "auto").unknown_names == "data.max_source_tokens and data.max_summary_tokens"
    assert rules("auto", 64).largest is None
    assert rules({"auto_up_to": 300}, 64).largest == TokenLimits(
        max_source_tokens=300, max_summary_tokens=64, truncation="middle"
    )
    assert rules(512, 64).unknown == []


class Lengths(EncodedTable):
    """A table that knows its rows' lengths alone."""

    def __init__(self, sources: list[int], summaries: list[int]) -> None:
        self.source_lengths, self.summary_lengths = np.array(sources), np.array(summaries)


TRAIN = Lengths([100] * 199 + [900], [30] * 198 + [70, 100])


@pytest.mark.parametrize(
    ("source", "summary", "is_causal", "positions", "expected"),
    [
        ("auto", "auto", True, None, (128, 128)),
        ("auto", "auto", False, 120, (120, 120)),
        # Prompt and summary share a causal model's positions: the summary first, within half of them.
        ("auto", "auto", True, 200, (100, 100)),
        ("auto", "auto", True, 240, (120, 120)),
        ("auto", "auto", True, 260, (128, 128)),
        (150, "auto", True, 200, (150, 50)),
        ("auto", 150, True, 200, (50, 150)),
        ("auto", 150, False, 200, (128, 150)),
        ({"auto_up_to": 90}, {"auto_up_to": 40}, True, 1000, (90, 40)),
        ({"auto_up_to": 900}, 64, True, 1000, (128, 64)),
    ],
)
def test_both_limits_fit_into_the_positions(
    source: object, summary: object, is_causal: bool, positions: int | None, expected: tuple[int, int]
) -> None:
    limits, lines = rules(source, summary).measure(TRAIN, is_causal=is_causal, max_positions=positions)
    assert (limits.max_source_tokens, limits.max_summary_tokens, limits.truncation) == (*expected, "middle")
    assert len(lines) == sum(not isinstance(value, int) for value in (source, summary))


def test_the_lines_say_what_was_measured() -> None:
    _, lines = rules({"auto_up_to": 1536}, {"auto_up_to": 32}).measure(TRAIN, is_causal=True, max_positions=4096)
    assert lines == [
        "max_source_tokens auto: 128 holds 99.5 % of 200 train rows (longest 900)",
        "max_summary_tokens auto: 32, its ceiling, holds 99 % of 200 train rows (longest 100)",
    ]
    _, lines = rules("auto", 64).measure(TRAIN, is_causal=True, max_positions=144)
    assert lines == [
        "max_source_tokens auto: 80, all that the model's positions leave, holds 0 % of 200 train rows (longest 900)"
    ]


def test_positions_that_the_other_limit_takes() -> None:
    with pytest.raises(ValueError, match=r"data\.max_source_tokens is auto, and the other limit takes all of"):
        rules("auto", 200).measure(TRAIN, is_causal=True, max_positions=200)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["kobart", "llama3_1", "qwen3"])
def test_real_rows(shared_dir: Path, tmp_path: Path, name: str) -> None:
    encoder = shared_encoder(shared_dir, name)
    is_causal = encoder.is_causal
    table = shared_rows(shared_dir, "train", cache_dir=tmp_path)
    auto = rules("auto", "auto")
    whole = encode_table(table, encoder=encoder, limits=auto.unlimited, with_summary=True, cache_dir=tmp_path)
    limits, _ = auto.measure(whole, is_causal=is_causal, max_positions=None)
    examples = [encoder.encode(row, limits=auto.unlimited, with_summary=True) for row in table]
    sources = [example.prompt_length for example in examples]
    summaries = [len(example.labels) - example.prompt_length * is_causal for example in examples]
    assert len(examples) == 2500
    assert limits.max_source_tokens == naive_limit(sources)
    assert limits.max_summary_tokens == naive_limit(summaries)
