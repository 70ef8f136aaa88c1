"""Token tables: the byte automaton, seen through one vocabulary.

In: an automaton and the bytes of every token. Out: for each state which tokens may follow, where they lead, and how
far it is from there to a place where a text may end. Only the columns of tokens that are allowed in some state are
kept: 5 % of a large vocabulary, a few megabytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.decode.constraint.automaton import DEAD, ByteAutomaton

UNREACHABLE: Final = 255
"""A distance that no number of tokens covers."""


@dataclass(frozen=True, kw_only=True)
class TokenTables:
    """Q states over C tokens of a vocabulary of V.

    Attributes:
        automaton: The automaton, Q states.
        columns: Ids of the tokens that are allowed in some state, ascending, (C,) int64.
        following: State behind a token, `DEAD` where it is not allowed, (Q, C) int16.
        distance: Fewest tokens from a state to one where a text may end, `UNREACHABLE` for none, (Q,) uint8.
        written: Bytes of every token, V of them.
    """

    automaton: ByteAutomaton
    columns: NDArray[np.int64]
    following: NDArray[np.int16]
    distance: NDArray[np.uint8]
    written: Sequence[bytes]

    @cached_property
    def cost(self) -> NDArray[np.uint8]:
        """Fewest tokens that must still follow a token, `UNREACHABLE` where it is not allowed, (Q, C)."""
        return np.append(self.distance, UNREACHABLE).astype(np.uint8)[self.following]

    @cached_property
    def column_of(self) -> dict[int, int]:
        """Index in `columns` of each allowed token."""
        return {int(token): column for column, token in enumerate(self.columns)}

    def accepts(self, ids: Sequence[int]) -> bool:
        """Whether these tokens, one after the other, are a text that may end here."""
        state = self.automaton.start
        for token in ids:
            column = self.column_of.get(int(token))
            state = DEAD if column is None else int(self.following[state, column])
            if state == DEAD:
                return False
        return bool(self.automaton.is_accepting[state])


def build_tables(automaton: ByteAutomaton, written: Sequence[bytes]) -> TokenTables:
    r"""Run every token from every state.

    A token that writes nothing is never allowed.

    Raises:
        ValueError: No token is allowed, or no text can be finished.

    Example:
        >>> from kosum_pl.decode.constraint.automaton import build_automaton
        >>> from kosum_pl.decode.charset import Charset
        >>> tables = build_tables(build_automaton(Charset()), [b"", " 뷁".encode(), b"K", b"\xea", b"\xb0\x80"])
        >>> tables.columns.tolist(), tables.accepts([1, 3, 4]), tables.accepts([3])
        ([1, 3, 4], True, False)
    """
    states, tokens, ends = _run(automaton, written)
    columns, indices = np.unique(tokens, return_inverse=True)
    following = np.full((len(automaton.transitions), len(columns)), DEAD, dtype=np.int16)
    following[states, indices.reshape(-1)] = ends
    distance = _distances(following, automaton.is_accepting)
    # A token into a state that nothing leads out of would leave a text that can never be finished.
    following[np.append(distance, UNREACHABLE)[following] == UNREACHABLE] = DEAD
    is_used = (following != DEAD).any(axis=0)
    if not is_used.any():
        raise ValueError(
            "model.constraint: the vocabulary can write no text of this charset; widen charset or literals"
        )
    return TokenTables(
        automaton=automaton,
        columns=columns[is_used].astype(np.int64),
        following=np.ascontiguousarray(following[:, is_used]),
        distance=distance,
        written=written,
    )


def _run(automaton: ByteAutomaton, written: Sequence[bytes]) -> tuple[NDArray[np.int64], ...]:
    """(state, token, state behind it) of every token that is allowed in a state."""
    lengths = np.array([len(piece) for piece in written], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
    blob = np.frombuffer(b"".join(written), dtype=np.uint8)
    transitions = automaton.transitions
    candidates = np.flatnonzero(lengths)
    first = transitions[:, blob[starts[candidates]]]
    states, found = np.nonzero(first != DEAD)
    tokens, current = candidates[found], first[states, found]
    done: list[tuple[NDArray[np.int64], ...]] = []
    depth = 1
    while len(tokens):
        is_done = lengths[tokens] == depth
        done.append((states[is_done], tokens[is_done], current[is_done].astype(np.int64)))
        states, tokens, current = states[~is_done], tokens[~is_done], current[~is_done]
        current = transitions[current, blob[starts[tokens] + depth]]
        is_alive = current != DEAD
        states, tokens, current = states[is_alive], tokens[is_alive], current[is_alive]
        depth += 1
    if not done:
        return (np.zeros(0, dtype=np.int64),) * 3
    return tuple(np.concatenate(parts) for parts in zip(*done, strict=True))


def _distances(following: NDArray[np.int16], is_accepting: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fewest tokens from each state to an accepting one: a fixpoint, reached after as many rounds as the longest."""
    distance = np.where(is_accepting, 0, UNREACHABLE)
    while following.size:
        behind = np.append(distance, UNREACHABLE)[following].min(axis=1)
        shorter = np.minimum(distance, np.minimum(behind + 1, UNREACHABLE))
        if (shorter == distance).all():
            break
        distance = shorter
    return distance.astype(np.uint8)
