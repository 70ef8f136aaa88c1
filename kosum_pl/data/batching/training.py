"""Lengths of the training rows → batches of row numbers, shuffled, rank by rank, and resumable at any batch.

In: a length in tokens for each row. Out: `TokenBudgetBatchSampler`. Batches of like length keep padding low; ranks get
like batches at the same step, so that none waits; the state of a run is three numbers that hold for every rank.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Sampler

from kosum_pl.data.batching.lengths import (
    check_lengths,
    check_limits,
    check_rank,
    cut_batches,
    round_lengths,
    split_batches,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stratum:
    """Rows of like length and one weight, of which every epoch visits the same number, chosen anew."""

    rows: NDArray[np.int64]
    num_chosen: int
    length: int


class TokenBudgetBatchSampler(Sampler[list[int]]):
    """Batches of rows of like length for training.

    Every epoch visits each row once, or as often as its weight says, in another order. The number of batches is the
    same in all epochs and on all ranks. Where it is not a multiple of the ranks, batches are halved; only where all
    batches are down to one row are up to `num_replicas - 1` rows visited twice.

    Args:
        lengths: Length of each row in tokens, (N,).
        max_batch_tokens: Limit of rows × longest row of a batch; a row that is longer makes a batch of its own.
        row_weights: How often an epoch visits each row, (N,); 1.5 is once, and a second time in every other epoch on
            the average. None: once each.

    Example:
        >>> sampler = TokenBudgetBatchSampler([5, 30, 6, 31], max_batch_tokens=64, seed=1)
        >>> sorted(sorted(batch) for batch in sampler)
        [[0, 2], [1, 3]]
    """

    def __init__(
        self,
        lengths: ArrayLike,
        *,
        max_batch_tokens: int | None = None,
        batch_size: int | None = None,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        row_weights: Sequence[float] | NDArray[np.float64] | None = None,
    ) -> None:
        array = check_lengths(lengths)
        check_limits(max_batch_tokens, batch_size)
        check_rank(rank, num_replicas)
        rounded = round_lengths(array)
        weights = _check_weights(row_weights, len(array))
        copies = np.ones(len(array), dtype=np.int64) if weights is None else np.floor(weights).astype(np.int64)
        self._always = np.repeat(np.arange(len(array)), copies)
        self._strata = [] if weights is None else _make_strata(rounded, weights - copies)
        self._lengths = np.concatenate(
            [rounded[self._always], *(np.full(stratum.num_chosen, stratum.length) for stratum in self._strata)]
        )
        bounds = cut_batches(np.sort(self._lengths), max_batch_tokens=max_batch_tokens, batch_size=batch_size)
        self._bounds = split_batches(bounds, multiple=num_replicas)
        self._num_batches = -(-(len(self._bounds) - 1) // num_replicas)
        self._num_visited = self._num_batches
        self._seed = seed
        self._num_replicas = num_replicas
        self._rank = rank
        self._num_rows = len(array)
        limits = f"{max_batch_tokens} {batch_size} {seed} ".encode()
        content = array.tobytes() + (b"" if weights is None else weights.tobytes())
        self._fingerprint = hashlib.blake2b(limits + content, digest_size=12).hexdigest()
        self._epoch = 0  # of the next iterator
        self._start = 0  # where the next iterator starts
        self._state = (0, 0)  # epoch and position of the running iterator
        self._iterator: object = None

    @property
    def sampler(self) -> TokenBudgetBatchSampler:
        """Itself: Lightning calls `set_epoch` on a batch sampler's sampler."""
        return self

    def __len__(self) -> int:
        """Batches an epoch has on each rank."""
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of the epoch set last, from where a loaded state stopped."""
        epoch, start = self._epoch, self._start
        # Taken at once and not at the first batch: a loader may drop an iterator unused and ask for another.
        self._start = 0
        self._state = (epoch, start)
        self._iterator = token = object()
        return self._iterate(epoch, start, token)

    def end_epoch_after(self, num_batches: int) -> None:
        """An epoch ends here for whoever trains on its first batches alone: the next batch is one of the next epoch."""
        self._num_visited = min(num_batches, self._num_batches)

    def batch_at(self, position: int, *, epoch: int) -> list[int]:
        """Rows of one batch, without an iterator."""
        rows, order = self._plan(epoch)
        return self._batch(rows, order[position])

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the next iterator; a running one goes on undisturbed."""
        if epoch != self._epoch:
            self._epoch, self._start = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Which batch comes next; the same on every rank. After an epoch's last batch: the first of the next epoch."""
        epoch, position = self._state
        return {
            "epoch": epoch,
            "position": position,
            "num_replicas": self._num_replicas,
            "num_rows": self._num_rows,
            "fingerprint": self._fingerprint,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Lets the next iterator go on with the very batch that would have come next.

        Raises:
            ValueError: The state is of another number of ranks, or of other rows, limits or seed.
        """
        problem = ""
        if state["num_replicas"] != self._num_replicas:
            problem = (
                f"the checkpoint was written by {state['num_replicas']} processes, now there are "
                f"{self._num_replicas}; start as many as then"
            )
        elif state["num_rows"] != self._num_rows:
            problem = (
                f"the checkpoint was written with {state['num_rows']} training rows, now there are "
                f"{self._num_rows}; give the same data.train_file"
            )
        elif state["fingerprint"] != self._fingerprint:
            problem = (
                "the training rows' lengths or weights, data.max_batch_tokens, data.batch_size or data.seed are not "
                "those of the checkpoint; restore them"
            )
        if problem:
            raise ValueError(f"cannot resume: {problem}, or begin a new run")
        self._epoch, self._start = int(state["epoch"]), int(state["position"])
        self._state = (self._epoch, self._start)
        self._iterator = None

    def _iterate(self, epoch: int, start: int, token: object) -> Iterator[list[int]]:
        rows, order = self._plan(epoch)
        for position in range(start, self._num_batches):
            if self._iterator is token:
                # After the last batch nobody may ask for another, so the epoch ends with it.
                is_last = position + 1 == self._num_visited
                self._state = (epoch + 1, 0) if is_last else (epoch, position + 1)
                if is_last and self._epoch == epoch:
                    self._epoch = epoch + 1
            yield self._batch(rows, order[position])

    def _batch(self, rows: NDArray[np.int64], number: int) -> list[int]:
        batch: list[int] = rows[self._bounds[number] : self._bounds[number + 1]].tolist()
        return batch

    def _plan(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows in the order of their lengths, and the batches of this rank in the order of the epoch."""
        random = np.random.default_rng([self._seed, epoch])
        chosen = [random.choice(stratum.rows, stratum.num_chosen, replace=False) for stratum in self._strata]
        rows = np.concatenate([self._always, *chosen])
        rows = rows[np.lexsort((random.random(len(rows)), self._lengths))]
        # Neighbours in length make a group, one batch for each rank; a last group that falls short repeats batches.
        batches = np.arange(self._num_batches * self._num_replicas) % (len(self._bounds) - 1)
        groups = random.permuted(batches.reshape(-1, self._num_replicas), axis=1)
        return rows, random.permutation(groups)[:, self._rank]


def _check_weights(
    row_weights: Sequence[float] | NDArray[np.float64] | None, num_rows: int
) -> NDArray[np.float64] | None:
    if row_weights is None:
        return None
    weights = np.asarray(row_weights, dtype=np.float64)
    if weights.shape != (num_rows,):
        raise ValueError(f"there are {weights.size} row weights for {num_rows} rows; give one for each")
    if not np.isfinite(weights).all() or weights.min() <= 0:
        raise ValueError("a row's weight is not a positive number; leave the file out instead")
    return weights


def _make_strata(lengths: NDArray[np.int64], fractions: NDArray[np.float64]) -> list[_Stratum]:
    """Strata of all rows whose weight has a fraction.

    A stratum takes in lengths, shortest first, until it is so large that at least one of its rows is visited and one
    is not: a row alone in its length would otherwise be visited always or never. Its rows count as its longest.
    """
    strata: list[_Stratum] = []
    for fraction in np.unique(fractions[fractions > 0]):
        rows = np.flatnonzero(fractions == fraction)
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        min_rows = int(np.ceil(1 / min(fraction, 1 - fraction)))
        ends = [0]
        for end in [*(np.flatnonzero(np.diff(lengths[rows])) + 1).tolist(), len(rows)]:
            if end - ends[-1] >= min_rows:
                ends.append(end)
        # What is left over goes into the last stratum.
        ends = [*(ends[:-1] if len(ends) > 1 else ends), len(rows)]
        totals = np.floor(np.asarray(ends) * fraction + 0.5).astype(int)
        for start, end, num_chosen in zip(ends, ends[1:], np.diff(totals).tolist(), strict=False):
            part = rows[start:end]
            strata.append(_Stratum(rows=part, num_chosen=max(1, num_chosen), length=int(lengths[part[-1]])))
    return strata
