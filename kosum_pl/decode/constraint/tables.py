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

from kosum_pl.decode.constraint.automaton import ByteAutomaton
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.token_trie import NO_BASE, build_trie, find_bases

UNREACHABLE: Final = 255
"""A distance that no number of tokens covers."""

_MAX_STATES: Final = np.iinfo(np.int16).max


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
        ValueError: No token is allowed, no text can be finished, or there are more states than the tables hold.

    Example:
        >>> from kosum_pl.decode.constraint.automaton import build_automaton
        >>> from kosum_pl.decode.charset import Charset
        >>> tables = build_tables(build_automaton(Charset()), [b"", " 뷁".encode(), b"K", b"\xea", b"\xb0\x80"])
        >>> tables.columns.tolist(), tables.accepts([1, 3, 4]), tables.accepts([3])
        ([1, 3, 4], True, False)
    """
    transitions, is_accepting = automaton.transitions, automaton.is_accepting
    if len(transitions) > _MAX_STATES:
        raise ValueError(
            f"model.constraint: charset and literals come to {len(transitions):,} states, and the tables hold "
            f"{_MAX_STATES:,}; give fewer or shorter literals"
        )
    # Distances want all that a state leads to; where a text may end, the distance is known.
    bases = find_bases(transitions, is_accepting)
    states, tokens, ends = build_trie(written).run(transitions, np.arange(len(bases)), bases)
    distance = _distances(states, ends, is_accepting)
    # A token into a state that nothing leads out of would leave a text that can never be finished.
    ends = np.where(np.append(distance, UNREACHABLE)[ends] == UNREACHABLE, DEAD, ends)
    columns = np.unique(tokens[ends != DEAD])
    if not len(columns):
        raise ValueError(
            "model.constraint: the vocabulary can write no text of this charset; widen charset or literals"
        )
    is_column = np.isin(tokens, columns)
    states, places, ends = states[is_column], np.searchsorted(columns, tokens[is_column]), ends[is_column]
    following = np.full((len(transitions), len(columns)), DEAD, dtype=np.int16)
    is_alone = bases[states] == NO_BASE
    following[states[is_alone], places[is_alone]] = ends[is_alone]
    has_base = bases != NO_BASE
    following[has_base] = following[bases[has_base]]
    following[states[~is_alone], places[~is_alone]] = ends[~is_alone]
    return TokenTables(automaton=automaton, columns=columns, following=following, distance=distance, written=written)


def _distances(
    states: NDArray[np.int64], ends: NDArray[np.int64], is_accepting: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Fewest tokens from each state to an accepting one: a fixpoint, reached after as many rounds as the longest."""
    distance = np.where(is_accepting, 0, UNREACHABLE).astype(np.uint8)
    is_open = ~is_accepting[states] & (ends != DEAD)
    pairs = np.unique(np.stack([states[is_open], ends[is_open]]), axis=1)
    while pairs.size:
        behind = np.full(len(distance), UNREACHABLE, dtype=np.uint8)
        np.minimum.at(behind, pairs[0], distance[pairs[1]])
        shorter = np.minimum(distance, np.where(behind == UNREACHABLE, UNREACHABLE, behind + 1))
        if (shorter == distance).all():
            break
        distance = shorter
    return distance
