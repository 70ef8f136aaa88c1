from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.data import EvaluationBatchSampler

grouped_rows = st.lists(st.tuples(st.integers(1, 600), st.sampled_from(["default", "saturday", None])), min_size=1)


@given(rows=grouped_rows, num_replicas=st.integers(1, 6), limit=st.integers(1, 2000), by_tokens=st.booleans())
@settings(deadline=None)
def test_every_row_is_counted_once_and_groups_stay_apart(
    rows: list[tuple[int, str | None]], num_replicas: int, limit: int, by_tokens: bool
) -> None:
    lengths, groups = [length for length, _ in rows], [group for _, group in rows]
    limits = {"max_batch_tokens": limit} if by_tokens else {"batch_size": limit}
    found = [
        list(EvaluationBatchSampler(lengths, num_replicas=num_replicas, rank=rank, groups=groups, **limits))
        for rank in range(num_replicas)
    ]
    assert len({len(batches) for batches in found}) == 1
    counted = Counter(row for batches in found for batch in batches for row in batch if row >= 0)
    assert counted == Counter(range(len(rows)))
    for batch in (batch for batches in found for batch in batches):
        assert batch
        assert len({row >= 0 for row in batch}) == 1
        real = [row if row >= 0 else ~row for row in batch]
        assert len({groups[row] for row in real}) == 1
        assert [lengths[row] for row in real] == sorted((lengths[row] for row in real), reverse=True)
        if by_tokens:
            assert len(real) * lengths[real[0]] <= limit or len(real) == 1
        else:
            assert len(real) <= limit


def test_a_rank_without_rows_runs_one_that_another_counts() -> None:
    found = [list(EvaluationBatchSampler([5, 9, 7], batch_size=1, num_replicas=2, rank=rank)) for rank in range(2)]
    assert found == [[[1], [0]], [[2], [~0]]]


def test_a_second_pass_is_the_same() -> None:
    sampler = EvaluationBatchSampler(list(range(1, 30)), batch_size=4)
    assert list(sampler) == list(sampler)
    assert len(sampler) == 8


def test_groups_are_given_for_every_row() -> None:
    with pytest.raises(ValueError, match=r"^there are 1 groups for 2 rows; give one for each$"):
        EvaluationBatchSampler([1, 2], batch_size=1, groups=["a"])
