"""Sampled names, times and amounts."""

from __future__ import annotations

import re
from itertools import combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.demo.values import SAMPLERS, format_won, sample_slots

PAIRS = {"clock_pair", "eve_pair", "day_pair", "bargain", "split3"}


def won(text: str) -> int:
    """Reads an amount back, in thousands."""
    found = re.fullmatch(r"(?:(\d+)만)? ?(?:(\d)천)? 원", text)
    assert found is not None, text
    return 10 * int(found.group(1) or 0) + int(found.group(2) or 0)


@given(st.integers(min_value=1, max_value=100_000))
def test_amounts_read_back(thousands: int) -> None:
    assert won(format_won(thousands)) == thousands


@pytest.mark.parametrize("kind", sorted(SAMPLERS))
def test_every_kind_samples_clean_text(kind: str) -> None:
    for seed in range(20):
        drawn = SAMPLERS[kind](Random(seed))
        assert isinstance(drawn, str) is (kind not in PAIRS)
        values = (drawn,) if isinstance(drawn, str) else drawn
        assert all(re.fullmatch(r"[가-힣0-9]+(?: [가-힣0-9]+)*", value) for value in values)


@given(st.integers())
def test_pairs_keep_their_order(seed: int) -> None:
    rng = Random(seed)
    low, high = SAMPLERS["bargain"](rng)
    assert won(low) < won(high)
    each, together = SAMPLERS["split3"](rng)
    assert 3 * won(each) == won(together)
    earlier, later = SAMPLERS["eve_pair"](rng)
    assert earlier < later


KINDS = st.lists(st.sampled_from(["given", "full", "clock", "clock_pair", "eve", "day", "won_s", "won_m"]), unique=True)


@given(st.integers(), KINDS)
def test_no_value_can_be_mistaken_for_another(seed: int, kinds: list[str]) -> None:
    names = {kind: (kind, f"{kind}2") if kind in PAIRS else (kind,) for kind in kinds}
    values = sample_slots([(names[kind], kind) for kind in kinds], Random(seed))
    assert list(values) == [name for kind in kinds for name in names[kind]]
    for first, second in combinations(values.values(), 2):
        assert first not in second
        assert second not in first


def test_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="kind 'colour' is unknown; known: given"):
        sample_slots([(("x",), "colour")], Random(0))


def test_impossible_slots_are_an_error() -> None:
    kinds = [((str(number),), "nights") for number in range(5)]  # four values only
    with pytest.raises(ValueError, match="no value of kind 'nights' differs"):
        sample_slots(kinds, Random(0))
