"""Distances against scipy and closed forms, and what chance does to them."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from kosum_pl.drift.divergence import PSEUDO_COUNT, bin_edges, bin_names, count_bins, distance, js_distance, psi

COUNTS = st.integers(2, 12).flatmap(
    lambda size: st.tuples(*[st.lists(st.integers(0, 500), min_size=size, max_size=size).filter(any)] * 2)
)


@given(COUNTS)
def test_js_is_scipys_and_a_bounded_symmetric_distance(pair: tuple[list[int], list[int]]) -> None:
    first, second = pair
    found = float(js_distance(first, second=second))
    assert found == pytest.approx(float(np.nan_to_num(jensenshannon(first, second, base=2))), abs=1e-7)
    assert 0 <= found <= 1
    assert found == pytest.approx(float(js_distance(second, second=first)), abs=1e-12)
    assert float(js_distance(first, second=[3 * count for count in first])) == pytest.approx(0, abs=1e-7)


@given(COUNTS)
def test_psi_is_its_sum_symmetric_and_never_negative(pair: tuple[list[int], list[int]]) -> None:
    train, other = pair
    expected = 0.0
    for a, b in zip(train, other, strict=True):
        p = (a + PSEUDO_COUNT) / (sum(train) + PSEUDO_COUNT * len(train))
        q = (b + PSEUDO_COUNT) / (sum(other) + PSEUDO_COUNT * len(other))
        expected += (p - q) * math.log(p / q)
    found = float(psi(train, other=other))
    assert found == pytest.approx(expected, abs=1e-12)
    assert found >= 0
    assert found == pytest.approx(float(psi(other, other=train)), abs=1e-12)
    assert float(psi(train, other=train)) == 0


@pytest.mark.parametrize("wrong", [[], [0, 0], [-1, 2]])
def test_an_empty_sample_is_an_error(wrong: list[int]) -> None:
    with pytest.raises(ValueError, match="empty or holds negative counts"):
        js_distance(wrong, second=wrong)
    with pytest.raises(ValueError, match="empty or holds negative counts"):
        psi(wrong, other=wrong)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_bins_hold_every_value_once(values: list[int]) -> None:
    edges = bin_edges(values)
    counts = count_bins(values, edges=edges)
    bounds = [-math.inf, *edges, math.inf]
    assert counts.tolist() == [sum(a <= value < b for value in values) for a, b in pairwise(bounds)]
    assert len(bin_names(edges)) == len(counts) <= 10
    assert (counts > 0).all()


def test_quantile_bins_hold_a_tenth_each() -> None:
    values = np.random.default_rng(0).normal(300, 50, size=2000).tolist()
    assert count_bins(values, edges=bin_edges(values)).tolist() == [200] * 10


def test_the_reference_is_that_of_dealing_rows_by_hand() -> None:
    train, other = [60, 30, 10], [12, 3, 5]
    rows = np.repeat([0, 1, 2], [72, 33, 15])
    generator = np.random.default_rng(1)
    dealt = []
    for _ in range(4000):
        generator.shuffle(rows)
        counts = [np.bincount(part, minlength=3) for part in (rows[:100], rows[100:])]
        dealt.append(jensenshannon(*counts, base=2))
    found = distance(train, other=other)
    assert found.expected_js == pytest.approx(np.mean(dealt), rel=0.03)
    assert found.p_value == pytest.approx(np.mean(np.array(dealt) >= found.js - 1e-9), abs=0.02)
    assert distance(train, other=other) == found


def test_p_values_of_equal_samples_are_spread_evenly() -> None:
    generator = np.random.default_rng(0)
    found = []
    for _ in range(300):
        train, other = generator.normal(size=400).tolist(), generator.normal(size=80).tolist()
        edges = bin_edges(train)
        counts = [count_bins(values, edges=edges) for values in (train, other)]
        found.append(distance(counts[0], other=counts[1], num_deals=199).p_value)
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.05)
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)
