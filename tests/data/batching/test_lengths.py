from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.data.batching.lengths import (
    check_lengths,
    check_limits,
    check_rank,
    cut_batches,
    round_lengths,
    split_batches,
)

many_lengths = st.lists(st.integers(1, 3000), min_size=1, max_size=80)


@given(many_lengths)
def test_rounding_goes_up_by_a_step_at_most_and_keeps_order(lengths: list[int]) -> None:
    array = np.array(sorted(lengths))
    rounded = round_lengths(array)
    assert (rounded >= array).all()
    assert (rounded - array < np.maximum(8, 0.05 * array + 1)).all()
    assert (np.diff(rounded) >= 0).all()
    assert (rounded % 8 == 0).all()


def naive_cut(lengths: list[int], budget: int) -> list[int]:
    bounds, rows = [0], 0
    for i, length in enumerate(lengths):
        if rows and (rows + 1) * length > budget:
            bounds.append(i)
            rows = 0
        rows += 1
    return [*bounds, len(lengths)]


@given(lengths=many_lengths, budget=st.integers(1, 6000))
def test_a_cut_equals_the_row_by_row_one(lengths: list[int], budget: int) -> None:
    lengths.sort()
    assert cut_batches(np.array(lengths), max_batch_tokens=budget, batch_size=None) == naive_cut(lengths, budget)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20), multiple=st.integers(1, 8))
def test_splitting_keeps_old_bounds_and_reaches_the_multiple(sizes: list[int], multiple: int) -> None:
    bounds = [0, *np.cumsum(sizes).tolist()]
    split = split_batches(bounds, multiple=multiple)
    assert set(bounds) <= set(split)
    assert all(start < stop for start, stop in pairwise(split))
    num_added = len(split) - len(bounds)
    if sum(sizes) >= -(-len(sizes) // multiple) * multiple:
        assert num_added == -len(sizes) % multiple
    else:
        assert len(split) - 1 == sum(sizes)


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_lengths([]), "there are no rows to make batches of; check the data file"),
        (lambda: check_lengths([3, 0]), "row 1 has 0 tokens; a row needs at least 1"),
        (lambda: check_limits(None, None), "set exactly one of data.max_batch_tokens and data.batch_size"),
        (lambda: check_limits(1, 1), "set exactly one of data.max_batch_tokens and data.batch_size"),
        (lambda: check_limits(None, 0), "data.batch_size is 0; set it to at least 1"),
        (lambda: check_rank(2, 2), "rank 2 is not one of 2 processes"),
    ],
)
def test_arguments_are_checked(check: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        check()
