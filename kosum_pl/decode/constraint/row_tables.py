"""The words of one row's dialogue, laid over the common tables.

In: common token tables and a row's literals. Out: the transitions and tokens that these words add, for this row alone.
A *row state* is a state of the common automaton together with the words that are half written; few tokens touch a
word, so a row needs some hundred entries where the common tables have a hundred thousand.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.decode.constraint.automaton import ByteAutomaton
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.tables import UNREACHABLE, TokenTables

_RowState = tuple[int, frozenset[int]]
"""Common state (`DEAD` inside a word) and nodes of the words that are half written."""
_NO_WORDS: Final[frozenset[int]] = frozenset()


@dataclass(frozen=True, kw_only=True)
class RowTables:
    """What a row adds to the common tables of Q states.

    Row states are numbered: 0 to Q-1 are the common ones, more follow.

    Attributes:
        following: Row state behind a token, only where it differs from the common table: (row state, token) to state.
        common: Common state of each row state, `DEAD` inside a word.
        tokens: By row state: tokens, ascending, that the common table does not allow there, or that more must follow
            by it, int64.
        cost: By row state: fewest tokens that must follow each of `tokens`, uint8.
    """

    following: dict[tuple[int, int], int]
    common: Sequence[int]
    tokens: dict[int, NDArray[np.int64]]
    cost: dict[int, NDArray[np.uint8]]

    @cached_property
    def all_tokens(self) -> NDArray[np.int64]:
        """Tokens that the row may write and the common table knows in no state, among others; ascending."""
        return np.unique(np.concatenate([*self.tokens.values(), np.zeros(0, dtype=np.int64)]))


class VocabularyIndex:
    """A vocabulary in byte order, and where a row's word may start inside a token."""

    def __init__(self, tables: TokenTables) -> None:
        self.tables = tables
        written = tables.written
        self.ids = sorted((index for index, piece in enumerate(written) if piece), key=written.__getitem__)
        self.pieces = [written[index] for index in self.ids]
        # As lists: a row asks thousands of times for one entry, which an array answers slowly.
        self.transitions: list[list[int]] = tables.automaton.transitions.tolist()

    @cached_property
    def common_states(self) -> dict[_RowState, int]:
        """The states of the common automaton as states of a row, numbered as they are there."""
        return {(state, _NO_WORDS): state for state in range(len(self.transitions))}

    @cached_property
    def roots(self) -> list[frozenset[int]]:
        """Roots of a trie of words that may start in each common state."""
        free = self.tables.automaton.is_free.tolist()
        kinds = {marks: frozenset(root for root in (0, 1) if marks[root]) for marks in product((False, True), repeat=2)}
        return [kinds[marks] for marks in zip(*free, strict=True)]

    @cached_property
    def heads(self) -> dict[int, list[bytes]]:
        """By byte: beginnings of tokens, perhaps empty, behind which a word may start with that byte in the token.

        A beginning is allowed from some common state, and leads to one where a word may start.
        """
        transitions = self.tables.automaton.transitions
        free = frozenset(np.flatnonzero(self.tables.automaton.is_free.any(axis=0)).tolist())
        heads: dict[int, list[bytes]] = {byte: [] for byte in range(256)}

        @cache  # thousands of beginnings lead to a hundred sets of states
        def step(states: frozenset[int], byte: int) -> frozenset[int]:
            return frozenset(transitions[list(states), byte].tolist()) - {DEAD}

        def walk(head: bytes, states: frozenset[int], low: int, high: int) -> None:
            """Note what goes on behind `head` among `pieces[low:high]`, which all begin so."""
            is_free = not states.isdisjoint(free)
            for byte, first, last in self.children(head, low, high):
                if is_free:
                    heads[byte].append(head)
                following = step(states, byte)
                if following:
                    walk(head + bytes([byte]), following, first, last)

        walk(b"", frozenset(range(len(transitions))), 0, len(self.pieces))
        return heads

    def children(self, prefix: bytes, low: int, high: int) -> Iterator[tuple[int, int, int]]:
        """(byte, first index, end) of the longer tokens among `pieces[low:high]`, which all begin so."""
        depth = len(prefix)
        while low < high and len(self.pieces[low]) == depth:
            low += 1
        while low < high:
            byte = self.pieces[low][depth]
            end = self.end_of(prefix + bytes([byte]), low, high)
            yield byte, low, end
            low = end

    def end_of(self, prefix: bytes, low: int = 0, high: int | None = None) -> int:
        """Index behind the last token that begins with `prefix`."""
        top = len(self.pieces) if high is None else high
        # No token's bytes end in this many 0xFF, so that this sorts behind all that begin with the prefix.
        return bisect_left(self.pieces, prefix + b"\xff" * 8, low, top)


class _WordTrie:
    """Bytes of a row's words; nodes 0 and 1 are the roots of those that begin with a mark, and of the others."""

    def __init__(self, words: Sequence[str], automaton: ByteAutomaton, roots: Sequence[frozenset[int]]) -> None:
        self.children: list[dict[int, int]] = [{}, {}]
        self.ending: dict[int, int] = {}
        for word in words:
            node = int(automaton.runs_on(word[0]))
            for byte in word.encode():
                if byte not in self.children[node]:
                    self.children[node][byte] = len(self.children)
                    self.children.append({})
                node = self.children[node][byte]
            self.ending[node] = automaton.ending_of(word)
        self._roots = roots

    def roots(self, common: int) -> frozenset[int]:
        """Roots of the words that may start in a common state."""
        return _NO_WORDS if common == DEAD else self._roots[common]


class RowTablesBuilder:
    """Walks a row's words through a vocabulary."""

    def __init__(self, index: VocabularyIndex, words: Sequence[str]) -> None:
        self.index = index
        self.automaton = index.tables.automaton
        self.trie = _WordTrie([word for word in words if word], self.automaton, index.roots)
        self.numbers = dict(index.common_states)
        self.states: list[_RowState] = list(self.numbers)
        # Tokens behind a row state and a first part of the token, as states in which a token is cut are met again.
        self._walks: dict[tuple[_RowState, bytes], dict[int, _RowState]] = {}

    def build(self) -> RowTables:
        """Everything that the words add."""
        following: dict[tuple[int, int], int] = {}
        for number, state in enumerate(self.states):  # grows while it is read
            for token, target in self._tokens_behind(state).items():
                if target != (self._common_target(state[0], token), _NO_WORDS):
                    following[number, token] = self._number_state(target)
        return self._finish(following)

    def _number_state(self, state: _RowState) -> int:
        if state not in self.numbers:
            self.numbers[state] = len(self.states)
            self.states.append(state)
        return self.numbers[state]

    def _common_target(self, state: int, token: int) -> int:
        column = self.index.tables.column_of.get(token)
        return DEAD if column is None or state == DEAD else int(self.index.tables.following[state, column])

    def _step(self, state: _RowState, byte: int) -> _RowState:
        common, nodes = state
        children = self.trie.children
        starting = nodes | self.trie.roots(common)
        reached = {children[node][byte] for node in starting if byte in children[node]}
        following = DEAD if common == DEAD else self.index.transitions[common][byte]
        if not reached:
            return following, _NO_WORDS
        for ending in {self.trie.ending[node] for node in reached if node in self.trie.ending}:
            following = int(self.automaton.behind_word[ending, following])
        return following, frozenset(node for node in reached if children[node])

    def _tokens_behind(self, state: _RowState) -> dict[int, _RowState]:
        """Tokens of which at least one byte belongs to a word, and the states behind them."""
        found: dict[int, _RowState] = {}
        for head in self._heads(state):
            current = state
            for byte in head:
                current = self._step(current, byte)
                if current == (DEAD, _NO_WORDS):
                    break
            else:
                found |= self._walk_words(current, head)
        return found

    def _heads(self, state: _RowState) -> list[bytes]:
        common, nodes = state
        heads = [] if common == DEAD else self._common_heads
        return [b"", *heads] if nodes and heads[:1] != [b""] else heads

    @cached_property
    def _common_heads(self) -> list[bytes]:
        """Beginnings of tokens behind which one of the words may start."""
        starting = {byte for root in (0, 1) for byte in self.trie.children[root]}
        return sorted({head for byte in starting for head in self.index.heads[byte]})

    def _walk_words(self, state: _RowState, head: bytes) -> dict[int, _RowState]:
        """Tokens that begin with `head` and go on with a byte of a word."""
        key = (state, head)
        if key not in self._walks:
            common, nodes = state
            starting = nodes | self.trie.roots(common)
            found: dict[int, _RowState] = {}
            for byte in {byte for node in starting for byte in self.trie.children[node]}:
                prefix = head + bytes([byte])
                first = bisect_left(self.index.pieces, prefix)
                self._walk(self._step(state, byte), prefix, first, self.index.end_of(prefix, first), found)
            self._walks[key] = found
        return self._walks[key]

    def _walk(self, state: _RowState, prefix: bytes, low: int, high: int, found: dict[int, _RowState]) -> None:
        """All tokens among `pieces[low:high]`, which begin with `prefix`, that stay alive from `state` on."""
        while low < high and len(self.index.pieces[low]) == len(prefix):
            found[self.index.ids[low]] = state
            low += 1
        for byte, first, last in self.index.children(prefix, low, high):
            following = self._step(state, byte)
            if following != (DEAD, _NO_WORDS):
                self._walk(following, prefix + bytes([byte]), first, last, found)

    def _finish(self, following: dict[tuple[int, int], int]) -> RowTables:
        """Distances of the new states, and without the tokens from which no text could be finished."""
        common = [state for state, _ in self.states]
        base = self.index.tables.distance
        distance = [int(base[state]) if state != DEAD else UNREACHABLE for state in common]
        is_changed = True
        while is_changed:
            is_changed = False
            for (number, _), target in following.items():
                if distance[target] + 1 < distance[number]:
                    distance[number], is_changed = distance[target] + 1, True
        reachable = {key: target for key, target in following.items() if distance[target] < UNREACHABLE}
        added: dict[int, list[tuple[int, int]]] = {}
        for (number, token), target in sorted(reachable.items()):
            without = self._common_target(common[number], token)
            if without == DEAD or distance[target] < base[without]:
                added.setdefault(number, []).append((token, distance[target]))
        return RowTables(
            following=reachable,
            common=common,
            tokens={number: np.array([token for token, _ in pairs], np.int64) for number, pairs in added.items()},
            cost={number: np.array([cost for _, cost in pairs], np.uint8) for number, pairs in added.items()},
        )
