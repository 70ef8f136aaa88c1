"""States that are functions of ids, computed once a token.

In: the ids of a step's sequences. Out: a state each. Beam search reorders sequences between steps and assisted decoding
takes ids back, so nothing is bound to a position in the batch: the last step's states are found by the ids themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

State = TypeVar("State")


class PrefixMemo(Generic[State]):
    """Remembers the states of the last call.

    Args:
        start: Of an empty sequence.
        step: (state, token, row) → the state behind one more token; row is the sequence's row in the batch.
    """

    def __init__(self, start: State, step: Callable[[State, int, int], State]) -> None:
        self._start = start
        self._step = step
        self._known: dict[tuple[int, bytes], State] = {}

    def states(self, generated: NDArray[np.int64], *, rows: Sequence[int]) -> list[State]:
        """State behind each of N sequences, (N, T), whose rows are given."""
        # All sequences of a call extend those of the call before, in greedy decoding as in beams; a second rule that
        # asks in the same step finds its answer.
        fresh: dict[tuple[int, bytes], State] = {}
        states = []
        for row, ids in zip(rows, generated, strict=True):
            key = (row, ids.tobytes())
            state = self._known.get(key)
            if state is None:
                before = self._known.get((row, ids[:-1].tobytes())) if len(ids) else None
                state = self.fold(ids, row=row) if before is None else self._step(before, int(ids[-1]), row)
            fresh[key] = state
            states.append(state)
        self._known = fresh
        return states

    def fold(self, ids: Sequence[int] | NDArray[np.int64], *, row: int) -> State:
        """State behind ids, (T,), from the start."""
        state = self._start
        for token in ids:
            state = self._step(state, int(token), row)
        return state
