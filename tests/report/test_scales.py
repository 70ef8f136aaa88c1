from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kosum_pl.report.scales import Scale, log_ticks, nice_ticks, thin

NUMBERS = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False, allow_subnormal=False)


@given(NUMBERS, NUMBERS)
@example(0.0, 0.0)
@example(-3.0, -3.0)
@example(1e-20, 1e-20)
def test_ticks_are_even_and_hold_what_is_shown(first: float, second: float) -> None:
    low, high = sorted((first, second))
    if 0 < high - low < 1e-6 * max(1.0, abs(low)):
        return
    ticks = nice_ticks(low, high)
    step = ticks[1] - ticks[0]
    assert ticks[0] <= low + 1e-6 * step
    assert ticks[-1] >= high - 1e-6 * step
    assert 2 <= len(ticks) <= 7
    assert all(b - a == pytest.approx(step, rel=1e-3) for a, b in itertools.pairwise(ticks))


@given(st.floats(min_value=1e-6, max_value=1e6), st.floats(min_value=1e-6, max_value=1e6))
def test_log_ticks_hold_what_is_shown(first: float, second: float) -> None:
    low, high = sorted((first, second))
    ticks = log_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high


def test_numbers_lie_where_they_belong() -> None:
    up = Scale(low=0, high=300, start=206, end=10)
    assert [up(value) for value in (0, 150, 300, -5, 400)] == [206, 108, 10, 206, 10]
    by_factor = Scale(low=0.01, high=100, start=0, end=400, is_log=True)
    assert by_factor(1) == pytest.approx(200)
    assert by_factor(0.1) == pytest.approx(100)


@given(st.lists(NUMBERS, min_size=1, max_size=900), st.integers(2, 60))
def test_thinning_keeps_the_ends_of_the_range_and_the_order(values: list[float], max_points: int) -> None:
    points = list(enumerate(values))
    kept = thin(points, max_points=max_points)
    assert len(kept) <= max(max_points, 2)
    assert set(kept) <= set(points)
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)
    assert max(y for _, y in kept) == max(values)
    assert min(y for _, y in kept) == min(values)
    assert all(math.isfinite(y) for _, y in kept)
