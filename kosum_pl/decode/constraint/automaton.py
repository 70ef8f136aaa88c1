"""A byte automaton that accepts Korean text and nothing else.

In: a charset and fixed literals. Out: a minimal deterministic automaton over UTF-8 bytes for (character | literal)*. A
static list of tokens cannot say this: a byte-level vocabulary writes a rare syllable in pieces that, put together in
another way, write any character of any script.

Words of a row's dialogue are laid over it in `row_tables`. To know where one may start, the states between two
characters tell what stands before: nothing that a word could run on from (*free*), a letter or digit, or one of these
and a connector. Each has a twin right behind a row's word, where no letter or digit may follow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.decode.charset import Charset, Span, merge_spans, subtract_spans
from kosum_pl.decode.constraint.utf8 import utf8_sequences
from kosum_pl.decode.literals import CONNECTORS, continues_word, is_word_character

DEAD: Final = -1
"""No transition: this byte cannot follow."""
_FREE, _WORD, _JOINED = range(3)
_AFTER: Final = 3
"""Added to one of these: the same behind a row's word."""
_ROOTS: Final = range(6)
# A letter right behind a row's word would deny that word.
_FREE_ROOTS: Final = ({_FREE, _AFTER + _FREE}, {_FREE})


@dataclass(frozen=True, kw_only=True)
class ByteAutomaton:
    """A deterministic automaton over bytes, Q states.

    Attributes:
        transitions: Next state by state and byte, `DEAD` for none, (Q, 256) int32.
        is_accepting: Whether a text may end in a state: no character and no literal has been begun, (Q,).
        is_free: Whether a row's word may start in a state, one that begins with a mark of the charset, and one that
            begins with a letter, a digit or a sign, (2, Q).
        start: State of the empty text.
        behind_word: State right behind a row's word, by what it ends on (nothing to run on from, a letter or digit, a
            connector) and by the state that the same text leads to without it, `DEAD` last, (3, Q + 1) int32.
    """

    transitions: NDArray[np.int32]
    is_accepting: NDArray[np.bool_]
    is_free: NDArray[np.bool_]
    start: int
    behind_word: NDArray[np.int32]

    def accepts(self, text: bytes) -> bool:
        """Whether a text is allowed from its first byte to its last.

        Example:
            >>> automaton = build_automaton(Charset(), ["#Person1#"])
            >>> [automaton.accepts(text.encode()) for text in ("#Person1#은 뷁!", "漢字", "#Person2#")]
            [True, False, False]
        """
        state = self.start
        for byte in text:
            state = int(self.transitions[state, byte])
            if state == DEAD:
                return False
        return bool(self.is_accepting[state])

    def ending_of(self, word: str) -> int:
        """What a row's word ends on: first index of `behind_word`."""
        return _ending(word, self.runs_on)

    def runs_on(self, char: str) -> bool:
        """Whether a character would continue a word: a letter, a digit, or one outside the charset."""
        state = int(self.behind_word[_WORD, DEAD])
        for byte in char.encode():
            state = int(self.transitions[state, byte]) if state != DEAD else DEAD
        return state == DEAD


def build_automaton(charset: Charset, literals: Sequence[str] = ()) -> ByteAutomaton:
    """The minimal automaton of a charset and fixed literals.

    A literal stands for one character.
    """
    arcs = _Arcs()
    for root in _ROOTS:
        for spans, target in _characters(charset, root):
            for sequence in utf8_sequences(spans):
                arcs.add(root, sequence, target)
        for literal in dict.fromkeys(literals):
            # What the charset spells anyway must not make a second reading of the same text.
            is_needed = any(char not in charset for char in literal)
            if is_needed and not (root >= _AFTER and continues_word(literal[0], charset)):
                arcs.add_literal(root, literal, charset)
    return _minimal_automaton(arcs)


def build_utf8_automaton() -> ByteAutomaton:
    """The automaton of all valid UTF-8: its states tell where a character ends.

    Example:
        >>> automaton = build_utf8_automaton()
        >>> automaton.accepts("漢字 😀".encode()), automaton.accepts("뷁".encode()[:2])
        (True, False)
    """
    arcs = _Arcs()
    for sequence in utf8_sequences([(0, 0xD7FF), (0xE000, 0x10FFFF)]):
        for root in _ROOTS:
            arcs.add(root, sequence, _FREE)
    return _minimal_automaton(arcs)


class _Arcs:
    """(first byte, last byte, next node) of every node of a nondeterministic automaton; the roots come first."""

    def __init__(self) -> None:
        self.nodes: list[list[tuple[int, int, int]]] = [[] for _ in _ROOTS]
        # What the text of a literal's node ends on, where a character ends there.
        self.endings: dict[int, set[int]] = {}
        self._known: dict[tuple[tuple[Span, ...], int], int] = {}

    def add_literal(self, node: int, literal: str, charset: Charset) -> None:
        """Lead from a node through the bytes of a literal to the root behind it."""
        runs_on = partial(continues_word, charset=charset)
        target = _ending(literal, runs_on)
        spelt = tuple((byte, byte) for byte in literal.encode())
        self.add(node, spelt, target)
        for end in range(1, len(literal)):
            inner = self._known[spelt[len(literal[:end].encode()) :], target]
            self.endings.setdefault(inner, set()).add(_ending(literal[:end], runs_on))

    def add(self, node: int, sequence: tuple[Span, ...], target: int) -> None:
        """Lead from a node through ranges of bytes to a root."""
        self.nodes[node].append((*sequence[0], self._node_before(sequence[1:], target)))

    def _node_before(self, rest: tuple[Span, ...], target: int) -> int:
        """Node from which `rest` leads to `target`; the same rest is the same node."""
        if not rest:
            return target
        if (rest, target) not in self._known:
            self._known[rest, target] = len(self.nodes)
            self.nodes.append([])
            self.add(self._known[rest, target], rest, target)
        return self._known[rest, target]


def _minimal_automaton(arcs: _Arcs) -> ByteAutomaton:
    members, transitions, behind_word = _determinise(arcs)
    is_accepting = np.array([not state.isdisjoint(_ROOTS) for state in members])
    is_free = np.array([[not state.isdisjoint(free) for state in members] for free in _FREE_ROOTS])
    classes = _minimal_classes(transitions, is_accepting, *is_free)
    first = np.unique(classes, return_index=True)[1]
    renamed = np.append(classes, DEAD)  # the last one is where DEAD points to
    return ByteAutomaton(
        transitions=renamed[transitions[first]].astype(np.int32),
        is_accepting=is_accepting[first],
        is_free=is_free[:, first],
        start=int(classes[0]),
        behind_word=_renamed_behind_word(behind_word, classes),
    )


def _renamed_behind_word(behind_word: NDArray[np.int64], classes: NDArray[np.int64]) -> NDArray[np.int32]:
    renamed = np.repeat(classes[behind_word[:, -1:]], classes.max() + 2, axis=1)
    for ending, row in enumerate(behind_word):
        # Of states that are one now, some may never have stood behind a word with this ending.
        is_own = row[:-1] != row[-1]
        renamed[ending, classes[is_own]] = classes[row[:-1][is_own]]
    return renamed.astype(np.int32)


def _characters(charset: Charset, root: int) -> list[tuple[tuple[Span, ...], int]]:
    """Characters that may follow a root, and the root that each leads to."""
    word = merge_spans((point, point) for point in charset.code_points if is_word_character(chr(point)))
    joining = merge_spans((ord(char), ord(char)) for char in CONNECTORS if char in charset)
    rest = subtract_spans(subtract_spans(charset.spans, word), joining)
    behind_connector = _JOINED if root in (_WORD, _AFTER + _WORD) else _FREE
    follows = [(rest, _FREE), (joining, behind_connector)]
    return follows if root >= _AFTER else [*follows, (word, _WORD)]


def _ending(text: str, runs_on: Callable[[str], bool]) -> int:
    """What a text ends on: a letter or digit, one and a connector, or nothing to run on from."""
    if runs_on(text[-1]):
        return _WORD
    return _JOINED if text[-1] in CONNECTORS and len(text) > 1 and runs_on(text[-2]) else _FREE


def _determinise(arcs: _Arcs) -> tuple[list[frozenset[int]], NDArray[np.int64], NDArray[np.int64]]:
    """Subset construction from the free root and from those behind a row's word, which become states 0 and 1 to 3.

    Returns:
        Nodes of each state, its transitions, and `behind_word`.
    """
    members = [frozenset({root}) for root in (_FREE, *_ROOTS[_AFTER:])]
    numbers = {state: number for number, state in enumerate(members)}
    behind: list[list[int]] = []
    rows = []

    def number_of(state: frozenset[int]) -> int:
        if state not in numbers:
            numbers[state] = len(members)
            members.append(state)
        return numbers[state]

    for number, state in enumerate(members):  # grows while it is read
        following: list[set[int]] = [set() for _ in range(256)]
        for node in state:
            for first, last, target in arcs.nodes[node]:
                for byte in range(first, last + 1):
                    following[byte].add(target)
        rows.append([number_of(frozenset(targets)) if targets else DEAD for targets in following])
        # Where a text may go on anyway, the word adds nothing; within a fixed literal, it may end here as well.
        behind.append([1, 2, 3] if state.isdisjoint(_ROOTS) else [number] * 3)
        for ending in set().union(*(arcs.endings.get(node, ()) for node in state)) if behind[-1] == [1, 2, 3] else ():
            behind[-1][ending] = number_of(state | {_AFTER + ending})
    return members, np.array(rows), np.array([*behind, [1, 2, 3]]).T


def _minimal_classes(transitions: NDArray[np.int64], *marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Class of each state that no continuation tells apart from another (Moore's refinement)."""
    classes = np.unique(np.stack(marks, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    while True:
        following = np.append(classes, DEAD)[transitions]
        refined = np.unique(np.column_stack([classes, following]), axis=0, return_inverse=True)[1].reshape(-1)
        if refined.max() == classes.max():
            return refined.astype(np.int64)
        classes = refined
