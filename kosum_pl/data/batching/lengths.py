"""Lengths of rows → where a sorted sequence of them is cut into batches.

In: lengths in tokens. Out: pure functions on NumPy arrays, shared by the training and the evaluation sampler: rounding
that makes rows of like length equal, and a greedy cut under a budget of padded tokens.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Distance between two rounded lengths: so many tokens, or this part of the length where that is more.
_STEP_TOKENS: Final = 8
_STEP_RATIO: Final = 0.05


def check_lengths(lengths: ArrayLike) -> NDArray[np.int64]:
    """Lengths as an array (N,); a `ValueError` where there are none, or one is less than 1."""
    array = np.asarray(lengths, dtype=np.int64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError("there are no rows to make batches of; check the data file")
    if array.min() < 1:
        raise ValueError(f"row {int(array.argmin())} has {array.min()} tokens; a row needs at least 1")
    return array


def check_limits(max_batch_tokens: int | None, batch_size: int | None) -> None:
    """Raises a `ValueError` unless exactly one limit is given, and is at least 1."""
    if (max_batch_tokens is None) == (batch_size is None):
        raise ValueError("set exactly one of data.max_batch_tokens and data.batch_size, and the other to null")
    for name, value in (("max_batch_tokens", max_batch_tokens), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ValueError(f"data.{name} is {value}; set it to at least 1")


def check_rank(rank: int, num_replicas: int) -> None:
    """Raises a `ValueError` unless a rank is one of `num_replicas`."""
    if not 0 <= rank < num_replicas:
        raise ValueError(f"rank {rank} is not one of {num_replicas} processes; count ranks from 0")


def round_lengths(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lengths rounded up to steps of 8 tokens or 5%, whichever is more, (N,).

    Rows of one rounded length may swap from epoch to epoch while the cuts between batches stay.

    Example:
        >>> round_lengths(np.array([1, 8, 9, 400, 401])).tolist()
        [8, 8, 16, 400, 416]
    """
    bounds = [_STEP_TOKENS]
    while bounds[-1] < lengths.max():
        step = _STEP_TOKENS * max(1, int(bounds[-1] * _STEP_RATIO) // _STEP_TOKENS)
        bounds.append(bounds[-1] + step)
    steps = np.asarray(bounds, dtype=np.int64)
    return steps[np.searchsorted(steps, lengths)]


def cut_batches(lengths: NDArray[np.int64], *, max_batch_tokens: int | None, batch_size: int | None) -> list[int]:
    """Cuts ascending lengths (N,) into batches, each as large as its limit allows; where they begin and end: 0, …, N.

    Args:
        lengths: Lengths in ascending order.
        max_batch_tokens: Limit of rows × longest row. A row that is longer makes a batch of its own.
        batch_size: Limit of rows; the last batch may have fewer.

    Example:
        >>> cut_batches(np.array([10, 10, 20, 90]), max_batch_tokens=40, batch_size=None)
        [0, 2, 3, 4]
    """
    num_rows = len(lengths)
    if max_batch_tokens is None:
        assert batch_size is not None
        return [*range(0, num_rows, batch_size), num_rows]
    bounds = [0]
    while bounds[-1] < num_rows:
        start = bounds[-1]
        stop = min(num_rows, start + max(1, max_batch_tokens // int(lengths[start])))
        sizes = np.arange(1, stop - start + 1) * lengths[start:stop]
        bounds.append(start + max(1, int(np.searchsorted(sizes, max_batch_tokens, side="right"))))
    return bounds


def split_batches(bounds: Sequence[int], *, multiple: int) -> list[int]:
    """Halves the batches with most rows until their number is a multiple of `multiple`.

    Where every batch is down to one row, the number may fall short of it.

    Example:
        >>> split_batches([0, 6, 8, 9], multiple=4)
        [0, 3, 6, 8, 9]
    """
    heap = [(start - stop, start) for start, stop in itertools.pairwise(bounds)]
    heapq.heapify(heap)
    while len(heap) % multiple and heap[0][0] < -1:
        negative_rows, start = heap[0]
        half = -negative_rows // 2
        heapq.heapreplace(heap, (-half, start))
        heapq.heappush(heap, (negative_rows + half, start + half))
    return [*sorted(start for _, start in heap), bounds[-1]]
