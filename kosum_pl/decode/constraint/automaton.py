"""A byte automaton that accepts Korean text and nothing else.

In: a charset and fixed literals. Out: a minimal deterministic automaton over UTF-8 bytes for (character | literal)*. A
static list of tokens cannot say this: a byte-level vocabulary writes a rare syllable in pieces that, put together in
another way, write any character of any script.

Words of a row's dialogue are laid over it in `row_tables`. To know where one may start, the states between two
characters tell what stands before: nothing that a word could run on from (*free*), a letter or digit, or one of these
and a connector. Each has a twin right behind a row's word, where no letter or digit may follow.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.decode.charset import Charset, Span, merge_spans, subtract_spans
from kosum_pl.decode.constraint.minimal import DEAD, Transitions, minimal_classes
from kosum_pl.decode.constraint.utf8 import utf8_sequences
from kosum_pl.decode.literals import CONNECTORS, continues_word, is_word_character

_FREE, _WORD, _JOINED = range(3)
_AFTER: Final = 3
"""Added to one of these: the same behind a row's word."""
_ROOTS: Final = range(6)
# A letter right behind a row's word would deny that word.
_FREE_ROOTS: Final = ({_FREE, _AFTER + _FREE}, {_FREE})

_State = tuple[frozenset[int], frozenset[int]]
"""Nodes in which a text may be. First those that thousands of states have in common: between two characters the roots,
within one whatever its bytes lead to from the roots. Then the others, inside of literals that were begun before."""
_NO_NODES: Final[frozenset[int]] = frozenset()
_NOWHERE: Final[_State] = (_NO_NODES, _NO_NODES)


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
        self._behind_common: dict[frozenset[int], dict[int, _State]] = {}

    def add_literal(self, node: int, literal: str, charset: Charset) -> None:
        """Lead from a node through the bytes of a literal to the root behind it."""
        runs_on = partial(continues_word, charset=charset)
        target = _ending(literal, runs_on)
        spelt = tuple((byte, byte) for byte in literal.encode())
        self.add(node, spelt, target)
        for end in range(1, len(literal)):
            inner = self._known[spelt[len(literal[:end].encode()) :], target]
            self.endings.setdefault(inner, set()).add(_ending(literal[:end], runs_on))

    def following(self, state: _State) -> dict[int, _State]:
        """States behind a state, by byte."""
        common, own = state
        if common not in self._behind_common:
            self._behind_common[common] = {byte: self._state_of(nodes) for byte, nodes in self._targets(common).items()}
        behind = dict(self._behind_common[common])
        for byte, nodes in self._targets(own).items():
            shared, others = behind.get(byte, _NOWHERE)
            # Roots of its own are those behind a literal's end: a text is between two characters.
            roots = shared.union(nodes.intersection(_ROOTS)) if not nodes.isdisjoint(_ROOTS) else shared
            behind[byte] = roots, others.union(nodes - roots)
        return behind

    def _state_of(self, nodes: set[int]) -> _State:
        """The state of nodes that are reached from some that states have in common."""
        a_node = next(iter(nodes))  # all of them lie between two characters, or none does
        if a_node not in _ROOTS and a_node not in self.endings:
            return frozenset(nodes), _NO_NODES
        roots = nodes.intersection(_ROOTS)
        return frozenset(roots), frozenset(nodes - roots)

    def endings_of(self, state: _State) -> set[int]:
        """What the texts end on that lead to a state inside of literals, where a character ends there."""
        return set().union(*(self.endings.get(node, ()) for node in state[1]))

    def _targets(self, nodes: Iterable[int]) -> dict[int, set[int]]:
        targets: dict[int, set[int]] = {}
        for node in nodes:
            for first, last, target in self.nodes[node]:
                for byte in range(first, last + 1):
                    targets.setdefault(byte, set()).add(target)
        return targets

    def add(self, node: int, sequence: tuple[Span, ...], target: int) -> None:
        """Lead from a node through ranges of bytes to a root; the same rest of them is the same node."""
        behind = target
        for start in range(len(sequence) - 1, 0, -1):
            rest = sequence[start:], target
            if rest not in self._known:
                self._known[rest] = len(self.nodes)
                self.nodes.append([(*sequence[start], behind)])
            behind = self._known[rest]
        self.nodes[node].append((*sequence[0], behind))


def _minimal_automaton(arcs: _Arcs) -> ByteAutomaton:
    members, transitions, behind_word = _determinise(arcs)
    is_accepting = np.array([_is_whole(state) for state in members])
    is_free = np.array([[_is_whole(state, free) for state in members] for free in _FREE_ROOTS])
    classes = minimal_classes(transitions, np.stack([is_accepting, *is_free], axis=1))
    first = np.unique(classes, return_index=True)[1]
    return ByteAutomaton(
        transitions=transitions.merged(classes),
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


def _determinise(arcs: _Arcs) -> tuple[list[_State], Transitions, NDArray[np.int64]]:
    """Subset construction from the free root and from those behind a row's word, which become states 0 and 1 to 3.

    Returns:
        Nodes of each state, its transitions, and `behind_word`.
    """
    members = [(frozenset({root}), _NO_NODES) for root in (_FREE, *_ROOTS[_AFTER:])]
    numbers = {state: number for number, state in enumerate(members)}
    behind: list[list[int]] = []
    sources, labels, targets = array("q"), array("q"), array("q")

    def number_of(state: _State) -> int:
        if state not in numbers:
            numbers[state] = len(members)
            members.append(state)
        return numbers[state]

    for number, state in enumerate(members):  # grows while it is read
        behind_state = arcs.following(state)
        sources.extend([number] * len(behind_state))
        labels.extend(behind_state)
        targets.extend(map(number_of, behind_state.values()))
        common, own = state
        # Where a text may go on anyway, the word adds nothing; within a fixed literal, it may end here as well.
        behind.append([number] * 3 if _is_whole(state) else [1, 2, 3])
        for ending in () if _is_whole(state) else arcs.endings_of(state):
            behind[-1][ending] = number_of((common | {_AFTER + ending}, own))
    transitions = Transitions(*(np.array(column, dtype=np.int64) for column in (sources, labels, targets)))
    return members, transitions, np.array([*behind, [1, 2, 3]]).T


def _is_whole(state: _State, roots: Collection[int] = _ROOTS) -> bool:
    """Whether a text may end here, behind no half of a character or literal, in one of these roots."""
    return not state[0].isdisjoint(roots)
