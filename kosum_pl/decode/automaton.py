"""A byte automaton that accepts Korean text and nothing else.

In: a charset and fixed literals. Out: a minimal deterministic automaton over UTF-8 bytes for (character | literal)*. A
static list of tokens cannot say this: a byte-level vocabulary writes a rare syllable in pieces that, put together in
another way, write any character of any script.

Words of a row's dialogue are laid over it in `row_tables`. To know where one may start, the states between two
characters tell what stands before: nothing that a word could run on from (*free*), a letter or digit, or one of these
and a connector. One more state stands right behind a row's word, where no letter or digit may follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.decode.charset import Charset, Span, merge_spans, subtract_spans
from kosum_pl.decode.literals import CONNECTORS, is_word_character

DEAD: Final = -1
"""No transition: this byte cannot follow."""
_FREE, _WORD, _JOINED, _AFTER = range(4)
_ROOTS: Final = (_FREE, _WORD, _JOINED, _AFTER)


@dataclass(frozen=True, kw_only=True)
class ByteAutomaton:
    """A deterministic automaton over bytes, Q states.

    Attributes:
        transitions: Next state by state and byte, `DEAD` for none, (Q, 256) int32.
        is_accepting: Whether a text may end in a state: no character and no literal has been begun, (Q,).
        is_free: Whether a row's word may start in a state, (Q,).
        start: State of the empty text.
        after_word: State right behind a row's word.
    """

    transitions: NDArray[np.int32]
    is_accepting: NDArray[np.bool_]
    is_free: NDArray[np.bool_]
    start: int
    after_word: int

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


def build_automaton(charset: Charset, literals: Sequence[str] = ()) -> ByteAutomaton:
    """The minimal automaton of a charset and fixed literals.

    Args:
        charset: Characters of which text is made.
        literals: Strings that stand for one character each.
    """
    arcs = _nondeterministic_arcs(charset, literals)
    members, transitions = _determinise(arcs)
    is_accepting = np.array([any(node in _ROOTS for node in state) for state in members])
    is_free = np.array([_FREE in state for state in members])
    classes = _minimal_classes(transitions, is_accepting, is_free)
    first = np.unique(classes, return_index=True)[1]
    renamed = np.append(classes, DEAD)  # the last one is where DEAD points to
    return ByteAutomaton(
        transitions=renamed[transitions[first]].astype(np.int32),
        is_accepting=is_accepting[first],
        is_free=is_free[first],
        start=int(classes[0]),
        after_word=int(classes[1]),
    )


def _nondeterministic_arcs(charset: Charset, literals: Sequence[str]) -> list[list[tuple[int, int, int]]]:
    """(first byte, last byte, next node) of every node; the roots come first."""
    arcs: list[list[tuple[int, int, int]]] = [[] for _ in _ROOTS]
    known: dict[tuple[tuple[Span, ...], int], int] = {}

    def node_of(rest: tuple[Span, ...], target: int) -> int:
        """Node from which `rest` leads to `target`; the same rest is the same node."""
        if not rest:
            return target
        if (rest, target) not in known:
            known[rest, target] = len(arcs)
            arcs.append([])
            arcs[known[rest, target]].append((*rest[0], node_of(rest[1:], target)))
        return known[rest, target]

    for root in _ROOTS:
        for spans, target in _characters(charset, root):
            for sequence in utf8_sequences(spans):
                arcs[root].append((*sequence[0], node_of(sequence[1:], target)))
        for literal in dict.fromkeys(filter(None, literals)):
            if root != _AFTER or not _runs_on(literal[0], charset):
                spelt = tuple((byte, byte) for byte in literal.encode())
                arcs[root].append((*spelt[0], node_of(spelt[1:], _behind(literal, charset))))
    return arcs


def _characters(charset: Charset, root: int) -> list[tuple[tuple[Span, ...], int]]:
    """Characters that may follow a root, and the root that each leads to."""
    word = merge_spans((point, point) for point in charset.code_points if is_word_character(chr(point)))
    joining = merge_spans((ord(char), ord(char)) for char in CONNECTORS if char in charset)
    rest = subtract_spans(subtract_spans(charset.spans, word), joining)
    behind_connector = _JOINED if root in (_WORD, _AFTER) else _FREE
    follows = [(rest, _FREE), (joining, behind_connector)]
    return follows if root == _AFTER else [*follows, (word, _WORD)]


def _runs_on(char: str, charset: Charset) -> bool:
    return is_word_character(char) or char not in charset


def _behind(literal: str, charset: Charset) -> int:
    if _runs_on(literal[-1], charset):
        return _WORD
    is_joined = literal[-1] in CONNECTORS and len(literal) > 1 and _runs_on(literal[-2], charset)
    return _JOINED if is_joined else _FREE


def utf8_sequences(spans: Sequence[Span]) -> Iterator[tuple[Span, ...]]:
    """Ranges of code points as sequences of byte ranges.

    Source: R. Cox, Regular Expression Matching in the Wild (https://swtch.com/~rsc/regexp/regexp3.html).

    Example:
        >>> list(utf8_sequences([(0x20, 0x7E), (0xAC00, 0xACFF)]))
        [((32, 126),), ((234, 234), (176, 179), (128, 191))]
    """
    pending = list(reversed(spans))
    while pending:
        first, last = pending.pop()
        for limit in (0x7F, 0x7FF, 0xFFFF):
            if first <= limit < last:
                pending += [(limit + 1, last), (first, limit)]
                break
        else:
            split = _split(first, last)
            if split is None:
                yield tuple(zip(chr(first).encode(), chr(last).encode(), strict=True))
            else:
                pending += split


def _split(first: int, last: int) -> list[Span] | None:
    """The same range in two, later part first, where its continuation bytes are not a plain product of ranges."""
    for shift in (6, 12, 18):
        mask = (1 << shift) - 1
        if last <= 0x7F or (first | mask) == (last | mask):
            continue
        if first & mask:
            return [((first | mask) + 1, last), (first, first | mask)]
        if last & mask != mask:
            return [(last & ~mask, last), (first, (last & ~mask) - 1)]
    return None


def _determinise(arcs: Sequence[Sequence[tuple[int, int, int]]]) -> tuple[list[frozenset[int]], NDArray[np.int64]]:
    """Subset construction from the free root and the one behind a row's word, which become states 0 and 1."""
    members = [frozenset({_FREE}), frozenset({_AFTER})]
    index = {state: place for place, state in enumerate(members)}
    rows = []
    for state in members:  # grows while it is read
        following: list[set[int]] = [set() for _ in range(256)]
        for node in state:
            for first, last, target in arcs[node]:
                for byte in range(first, last + 1):
                    following[byte].add(target)
        row = np.full(256, DEAD)
        for byte, targets in enumerate(following):
            if targets:
                key = frozenset(targets)
                if key not in index:
                    index[key] = len(members)
                    members.append(key)
                row[byte] = index[key]
        rows.append(row)
    return members, np.array(rows)


def _minimal_classes(transitions: NDArray[np.int64], *marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Class of each state that no continuation tells apart from another (Moore's refinement)."""
    classes = np.unique(np.stack(marks, axis=1), axis=0, return_inverse=True)[1].reshape(-1)
    while True:
        following = np.append(classes, DEAD)[transitions]
        refined = np.unique(np.column_stack([classes, following]), axis=0, return_inverse=True)[1].reshape(-1)
        if refined.max() == classes.max():
            return refined.astype(np.int64)
        classes = refined
