from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset
from torchdata.stateful_dataloader import StatefulDataLoader

from kosum_pl.data import TokenBudgetBatchSampler

many_lengths = st.lists(st.integers(1, 600), min_size=1, max_size=120)
ranks = st.integers(1, 5)


def all_ranks(lengths: list[int], num_replicas: int, epoch: int = 0, **options: Any) -> list[list[list[int]]]:
    found = []
    for rank in range(num_replicas):
        sampler = TokenBudgetBatchSampler(lengths, num_replicas=num_replicas, rank=rank, **options)
        sampler.set_epoch(epoch)
        found.append(list(sampler))
        assert len(found[-1]) == len(sampler)
    return found


def fits(batch: list[int], lengths: list[int], *, max_batch_tokens: int = 0, batch_size: int = 0) -> bool:
    tokens = len(batch) * max(lengths[row] for row in batch)
    return len(batch) <= batch_size if batch_size else tokens <= max_batch_tokens or len(batch) == 1


@given(
    lengths=many_lengths,
    num_replicas=ranks,
    limit=st.fixed_dictionaries({"max_batch_tokens": st.integers(50, 2000)})
    | st.fixed_dictionaries({"batch_size": st.integers(1, 40)}),
    seed=st.integers(0, 3),
)
@settings(deadline=None)
def test_ranks_share_every_row_once_within_the_limit(
    lengths: list[int], num_replicas: int, limit: dict[str, int], seed: int
) -> None:
    found = all_ranks(lengths, num_replicas, seed=seed, **limit)
    batches = [batch for rank in found for batch in rank]
    assert len({len(rank) for rank in found}) == 1
    assert all(batch and fits(batch, lengths, **limit) for batch in batches)
    visits = Counter(row for batch in batches for row in batch)
    assert set(visits) == set(range(len(lengths)))
    if any(len(batch) > 1 for batch in batches):
        assert set(visits.values()) == {1}
    else:
        # Nothing is left to halve, so as many visits are repeated as the ranks need, and no more.
        assert sum(visits.values()) == -(-len(lengths) // num_replicas) * num_replicas


@given(
    rows=st.lists(st.tuples(st.integers(1, 600), st.sampled_from([0.1, 0.5, 1.0, 1.3, 2.0])), min_size=1, max_size=120),
    num_replicas=ranks,
    budget=st.integers(50, 2000),
)
@settings(deadline=None)
def test_the_number_of_batches_and_visits_is_the_same_in_every_epoch(
    rows: list[tuple[int, float]], num_replicas: int, budget: int
) -> None:
    lengths, weights = [length for length, _ in rows], [weight for _, weight in rows]
    options: dict[str, Any] = {"max_batch_tokens": budget, "row_weights": weights}
    epochs = [all_ranks(lengths, num_replicas, epoch, **options) for epoch in range(3)]
    assert len({len(rank) for epoch in epochs for rank in epoch}) == 1
    for epoch in epochs:
        batches = [batch for rank in epoch for batch in rank]
        assert all(fits(batch, lengths, max_batch_tokens=budget) for batch in batches)
        if any(len(batch) > 1 for batch in batches):
            visits = Counter(row for batch in batches for row in batch)
            assert all(int(weight) <= visits[i] <= int(weight) + 1 for i, weight in enumerate(weights))


def test_weights_are_met_on_the_average() -> None:
    random = np.random.default_rng(0)
    lengths = random.integers(20, 500, 900).tolist()
    weights = np.repeat([0.25, 1.0, 2.5], 300)
    sampler = TokenBudgetBatchSampler(lengths, max_batch_tokens=4000, row_weights=weights)
    visits = np.zeros((40, 900))
    for epoch in range(40):
        sampler.set_epoch(epoch)
        np.add.at(visits[epoch], [row for batch in sampler for row in batch], 1)
    for part in range(3):
        rows = slice(300 * part, 300 * part + 300)
        assert visits[:, rows].sum(axis=1).tolist() == [300 * weights[300 * part]] * 40
    # No row is left out for ever, and none is always taken: 40 epochs at 0.25 give 10 ± 2.7.
    assert visits[:, :300].sum(axis=0).min() >= 1
    assert visits[:, :300].sum(axis=0).max() <= 25
    assert abs(visits[:, :300].sum(axis=0).std() - np.sqrt(40 * 0.25 * 0.75)) < 0.8


def test_the_order_follows_seed_and_epoch() -> None:
    lengths = np.random.default_rng(0).integers(10, 300, 300).tolist()

    def order(seed: int, epoch: int) -> list[list[int]]:
        sampler = TokenBudgetBatchSampler(lengths, max_batch_tokens=1000, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 0) == order(1, 0)
    orders = [order(1, 0), order(1, 1), order(2, 0)]
    batches = [{frozenset(batch) for batch in found} for found in orders]
    assert len({str(found) for found in orders}) == 3
    # Not the order of batches alone: rows meet other rows.
    assert len(batches[0] & batches[1]) < len(batches[0]) / 4
    lengths_in_order = [lengths[batch[0]] for batch in orders[0]]
    assert abs(np.corrcoef(lengths_in_order, np.arange(len(lengths_in_order)))[0, 1]) < 0.4


def test_ranks_get_rows_of_like_length_at_the_same_step() -> None:
    lengths = np.random.default_rng(0).integers(10, 400, 2000).tolist()
    found = all_ranks(lengths, 4, max_batch_tokens=4000)
    longest = np.array([[max(lengths[row] for row in batch) for batch in rank] for rank in found])
    spread = longest.max(axis=0) / longest.min(axis=0)
    assert np.median(spread) < 1.3


def test_no_rank_always_gets_the_shortest_rows() -> None:
    lengths = list(range(8, 328, 8))
    found = np.array(all_ranks(lengths, 4, batch_size=1)).reshape(4, -1)
    assert all(np.ptp(step) == 3 for step in found.T)
    assert set(found.argmin(axis=0).tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 2, "row_weights": [1.0]}, "there are 1 row weights for 2 rows"),
        ({"batch_size": 2, "row_weights": [1.0, 0.0]}, "a row's weight is not a positive number"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        TokenBudgetBatchSampler([1, 2], **options)


class Rows(Dataset[int]):
    def __len__(self) -> int:
        return 1000

    def __getitem__(self, index: int) -> int:
        return index


LENGTHS = np.random.default_rng(3).integers(10, 200, 60).tolist()


def make_loader(num_workers: int, **options: Any) -> StatefulDataLoader:
    sampler = TokenBudgetBatchSampler(LENGTHS, **{"max_batch_tokens": 800, "seed": 5, **options})
    return StatefulDataLoader(Rows(), batch_sampler=sampler, num_workers=num_workers, collate_fn=list)


def read(loader: StatefulDataLoader, num_batches: int) -> Iterator[list[int]]:
    """Batches over the ends of epochs, as a trainer reads them: it stops at the known length."""
    num_read = 0
    while num_read < num_batches:
        for i, batch in enumerate(loader, start=1):
            yield batch
            num_read += 1
            if num_read == num_batches or i == len(loader):
                break


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_resumed_run_reads_what_an_uninterrupted_one_reads(num_workers: int) -> None:
    length = len(make_loader(0))
    assert length > 8
    whole = list(read(make_loader(0), 4 * length))
    assert [sorted(row for batch in whole[i : i + length] for row in batch) for i in range(0, 4 * length, length)] == [
        list(range(60))
    ] * 4
    for position in (1, 5, length - 1, length, length + 1, 2 * length - 1, 2 * length):
        first = make_loader(num_workers)
        batches = list(read(first, position))
        state = first.state_dict()
        second = make_loader(num_workers)
        second.load_state_dict(state)
        # To the end of the epoch, and the next one whole.
        rest = list(second)
        assert batches + rest == whole[: len(batches) + len(rest)]
        assert (position + len(rest)) % length == 0
        assert rest
        assert list(second) == whole[position + len(rest) : position + len(rest) + length]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_epoch_that_was_read_to_its_end_is_not_read_again(num_workers: int) -> None:
    first = make_loader(num_workers)
    whole = [list(first), list(first)]
    assert whole[0] != whole[1]
    third = list(first)
    interrupted = make_loader(num_workers)
    for epoch in whole:
        assert list(interrupted) == epoch
    second = make_loader(num_workers)
    second.load_state_dict(interrupted.state_dict())
    assert list(second) == third


def test_set_epoch_as_a_trainer_calls_it() -> None:
    """It asks for an iterator before the first epoch and sets the epoch after, also when it resumes."""
    expected = [all_ranks(LENGTHS, 1, epoch, batch_size=7)[0] for epoch in range(3)]
    sampler = TokenBudgetBatchSampler(LENGTHS, batch_size=7)
    iterator = iter(sampler)
    sampler.sampler.set_epoch(0)
    assert list(iterator) == expected[0]
    sampler.sampler.set_epoch(1)
    iterator = iter(sampler)
    head = [next(iterator), next(iterator)]
    state = sampler.state_dict()
    resumed = TokenBudgetBatchSampler(LENGTHS, batch_size=7)
    resumed.load_state_dict(state)
    iterator = iter(resumed)
    resumed.sampler.set_epoch(1)
    assert head + list(iterator) == expected[1]
    resumed.sampler.set_epoch(2)
    assert list(resumed) == expected[2]


def test_another_epoch_begins_at_its_first_batch_whatever_was_loaded() -> None:
    sampler = TokenBudgetBatchSampler(LENGTHS, batch_size=7)
    next(iter(sampler))
    state = sampler.state_dict()
    sampler.load_state_dict(state)
    sampler.set_epoch(0)
    assert len(list(sampler)) == len(sampler) - 1
    sampler.load_state_dict(state)
    sampler.set_epoch(1)
    assert sorted(row for batch in sampler for row in batch) == list(range(60))


def test_the_state_is_the_same_on_all_ranks_and_plain() -> None:
    samplers = [TokenBudgetBatchSampler(LENGTHS, batch_size=4, num_replicas=2, rank=rank) for rank in range(2)]
    for sampler in samplers:
        iterator = iter(sampler)
        next(iterator)
    states = [sampler.state_dict() for sampler in samplers]
    assert states[0] == states[1]
    assert {type(value) for value in states[0].values()} == {int, str}


OTHER_ROWS = "the training rows' lengths or weights, data.max_batch_tokens, data.batch_size or data.seed are not those"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_replicas": 2}, "the checkpoint was written by 1 processes, now there are 2; "),
        ({"lengths": LENGTHS[:-1]}, "the checkpoint was written with 60 training rows, now there are 59; "),
        ({"lengths": [*LENGTHS[:-1], 999]}, OTHER_ROWS),
        ({"row_weights": [2.0] * 60}, OTHER_ROWS),
        ({"seed": 6}, OTHER_ROWS),
        ({"max_batch_tokens": 801}, OTHER_ROWS),
    ],
)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_state_of_other_circumstances_is_refused(options: dict[str, Any], reason: str, num_workers: int) -> None:
    settings = {"lengths": LENGTHS, "max_batch_tokens": 800, "seed": 5}
    loader = make_loader(num_workers)
    next(iter(loader))
    state = loader.state_dict()
    sampler = TokenBudgetBatchSampler(**{**settings, **options})
    other = StatefulDataLoader(Rows(), batch_sampler=sampler, num_workers=num_workers, collate_fn=list)
    other.load_state_dict(state)
    with pytest.raises(ValueError, match=f"^cannot resume: {reason}"):
        next(iter(other))


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist())  # type: ignore[index]
    list(TokenBudgetBatchSampler(LENGTHS, batch_size=7, row_weights=[0.5] * 60))
    assert (torch.get_rng_state().tolist(), np.random.get_state()[1].tolist()) == before  # type: ignore[index]


def test_a_row_of_little_weight_is_not_forgotten() -> None:
    assert list(TokenBudgetBatchSampler([10], batch_size=1, row_weights=[0.1])) == [[0]]
