from __future__ import annotations

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


@given(num_rows=st.integers(1, 50), batch_size=st.integers(1, 60))
def test_a_fixed_size_leaves_one_rest(num_rows: int, batch_size: int) -> None:
    bounds = cut_batches(np.ones(num_rows, dtype=np.int64), max_batch_tokens=None, batch_size=batch_size)
    sizes = [stop - start for start, stop in pairwise(bounds)]
    assert sum(sizes) == num_rows
    assert all(size == batch_size for size in sizes[:-1])
    assert 1 <= sizes[-1] <= batch_size


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
    ("lengths", "message"),
    [
        ([], "there are no rows to make batches of; check the data file"),
        ([3, 0], "row 1 has 0 tokens; a row needs at "),
    ],
)
def test_lengths_are_checked(lengths: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        check_lengths(lengths)


@pytest.mark.parametrize("limits", [(None, None), (1, 1)])
def test_one_limit_is_given(limits: tuple[int | None, int | None]) -> None:
    with pytest.raises(ValueError, match=r"^set exactly one of data\.max_batch_tokens and data\.batch_size"):
        check_limits(*limits)


def test_limits_and_ranks_are_in_range() -> None:
    with pytest.raises(ValueError, match=r"^data\.batch_size is 0; set it to at least 1$"):
        check_limits(None, 0)
    with pytest.raises(ValueError, match=r"^rank 2 is not one of 2 processes"):
        check_rank(2, 2)
