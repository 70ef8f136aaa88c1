"""The fewest states that a deterministic automaton over bytes can do with.

In: its transitions, as a list of those that there are, and marks of its states. Out: a class for each state; states of
one class are alike in their marks and in what follows. A literal is a chain of states with one transition each, of
which a list of thousands makes tens of thousands: what is done here takes time by the transition, not by the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

DEAD: Final = -1
"""No transition: this byte cannot follow."""
_NUM_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Transitions:
    """Transitions of Q states, A of them, no two of one state and one byte.

    Attributes:
        sources: State that each leads from, ascending, (A,) int64.
        labels: Its byte, (A,) int64.
        targets: State that it leads to, (A,) int64.
    """

    sources: NDArray[np.int64]
    labels: NDArray[np.int64]
    targets: NDArray[np.int64]

    def merged(self, classes: NDArray[np.int64]) -> NDArray[np.int32]:
        """Next class by class and byte, `DEAD` for none, (C, 256)."""
        table = np.full((classes.max() + 1, _NUM_BYTES), DEAD, dtype=np.int32)
        table[classes[self.sources], self.labels] = classes[self.targets]
        return table


def minimal_classes(transitions: Transitions, marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Class of each state, (Q,), that no continuation tells apart from another, numbered by their first states.

    Moore's refinement, in which a state is known by a random number made of its class and of those that follow. Like
    states always have the same number; whether unlike ones never had is checked at the end.

    Args:
        transitions: Of all Q states.
        marks: What tells states apart whatever follows, (Q, M).

    Example:
        >>> chain = Transitions(np.array([0, 1, 2]), np.array([97, 98, 98]), np.array([1, 3, 3]))
        >>> minimal_classes(chain, np.array([[False], [False], [False], [True]])).tolist()
        [0, 1, 1, 2]
    """
    start = _numbered(np.unique(marks, axis=0, return_inverse=True)[1].reshape(-1))
    seed = 0
    while True:
        classes = _refined(transitions, start, np.random.default_rng(seed))
        if _is_congruence(transitions, classes, start):
            return classes
        seed += 1


def _refined(transitions: Transitions, classes: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    of_byte = random.integers(2**64, size=_NUM_BYTES, dtype=np.uint64)[transitions.labels]
    of_class = random.integers(2**64, size=len(classes) + 1, dtype=np.uint64)
    # Where a state's transitions begin among all, and which states have any.
    has_any, begins = np.unique(transitions.sources, return_index=True)
    while True:
        numbers = of_class[classes] * of_class[-1]
        if len(begins):
            numbers[has_any] += np.add.reduceat(of_byte * of_class[classes[transitions.targets]], begins)
        refined = _numbered(numbers)
        if refined.max() == classes.max():
            return refined
        classes = refined


def _numbered(values: NDArray[np.generic]) -> NDArray[np.int64]:
    """The same values in the same places, as whole numbers in the order of their first places."""
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), dtype=np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    numbered: NDArray[np.int64] = numbers[inverse.reshape(-1)]
    return numbered


def _is_congruence(transitions: Transitions, classes: NDArray[np.int64], kinds: NDArray[np.int64]) -> bool:
    """Whether all states of a class are of one kind, and have transitions of the same bytes to the same classes."""
    first = np.unique(classes, return_index=True)[1]
    table = transitions.merged(classes)
    counts = np.bincount(transitions.sources, minlength=len(classes))
    is_same = table[classes[transitions.sources], transitions.labels] == classes[transitions.targets]
    has_all = counts == (table != DEAD).sum(axis=1)[classes]
    return bool(is_same.all() and has_all.all() and (kinds[first][classes] == kinds).all())
