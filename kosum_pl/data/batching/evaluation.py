"""Lengths of the evaluation rows → batches that count every row exactly once, over all ranks.

In: a length in tokens for each row, and perhaps a group that must not be mixed (the rows of one decoding preset). Out:
`EvaluationBatchSampler`. Lightning's own distributed sampler repeats rows, and a score over repeated rows is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from torch.utils.data import Sampler

from kosum_pl.data.batching.lengths import check_lengths, check_limits, check_rank, cut_batches

if TYPE_CHECKING:
    from torchdata.stateful_dataloader import StatefulDataLoader

BatchT = TypeVar("BatchT")


class EvaluationBatchSampler(Sampler[list[int]]):
    """Batches for validation, test and prediction, the longest rows of a group first.

    All ranks yield equally many batches, since a step may hold a collective that waits for all. A rank that has no rows
    left yields `[~index]`, a negative number: a row that another rank counts, to be run and not counted.

    Args:
        lengths: Length of each row in tokens, (N,).
        max_batch_tokens: Limit of rows × longest row of a batch; a row that is longer makes a batch of its own.
        groups: Group of each row; a batch has rows of one group only. None: all rows are of one group.

    Example:
        >>> list(EvaluationBatchSampler([5, 30, 6], batch_size=2))
        [[1], [2, 0]]
        >>> list(EvaluationBatchSampler([5, 30, 6], batch_size=3, num_replicas=2, rank=1))
        [[-1]]
    """

    def __init__(
        self,
        lengths: ArrayLike,
        *,
        max_batch_tokens: int | None = None,
        batch_size: int | None = None,
        num_replicas: int = 1,
        rank: int = 0,
        groups: Sequence[Hashable] | None = None,
    ) -> None:
        array = check_lengths(lengths)
        check_limits(max_batch_tokens, batch_size)
        check_rank(rank, num_replicas)
        if groups is not None and len(groups) != len(array):
            raise ValueError(f"there are {len(groups)} groups for {len(array)} rows; give one for each")
        members: dict[Hashable, list[int]] = {}
        for row, group in enumerate(groups if groups is not None else [None] * len(array)):
            members.setdefault(group, []).append(row)
        batches: list[list[int]] = []
        for rows in members.values():
            ordered = np.asarray(rows)[np.argsort(array[rows], kind="stable")]
            bounds = cut_batches(array[ordered], max_batch_tokens=max_batch_tokens, batch_size=batch_size)
            cuts = [ordered[start:stop][::-1].tolist() for start, stop in itertools.pairwise(bounds)]
            batches += reversed(cuts)
        # The filler is the shortest row of the step's first batch: of the same group, and cheap.
        self._batches = [
            batches[step + rank] if step + rank < len(batches) else [~batches[step][-1]]
            for step in range(0, len(batches), num_replicas)
        ]

    def __len__(self) -> int:
        """Batches on each rank."""
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)


class PlainLoader(Generic[BatchT]):
    """A loader that Lightning takes as it is: for `predict` it would rebuild the batch sampler of any other."""

    def __init__(self, loader: StatefulDataLoader[BatchT]) -> None:
        self._loader = loader

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[BatchT]:
        return iter(self._loader)
