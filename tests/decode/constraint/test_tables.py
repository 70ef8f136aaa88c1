"""Token tables against plain loops over states, tokens and bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint import tables
from kosum_pl.decode.constraint.automaton import ByteAutomaton, build_automaton
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.tables import UNREACHABLE, TokenTables, build_tables
from kosum_pl.decode.literals import DEFAULT_LITERALS

TEXT = "#Person1#은 뷁을 3번, K가 大 #K#\n"


@cache
def automaton_of(literals: tuple[str, ...]) -> ByteAutomaton:
    return build_automaton(Charset(), literals)


def run(automaton: ByteAutomaton, state: int, piece: bytes) -> int:
    for byte in piece:
        state = DEAD if state == DEAD else int(automaton.transitions[state, byte])
    return state


def tokens_to_the_end(automaton: ByteAutomaton, written: list[bytes], start: int) -> int:
    """Breadth-first search for a state where a text may end."""
    seen, queue = {start: 0}, deque([start])
    while queue:
        state = queue.popleft()
        if automaton.is_accepting[state]:
            return seen[state]
        for piece in filter(None, written):
            target = run(automaton, state, piece)
            if target != DEAD and target not in seen:
                seen[target] = seen[state] + 1
                queue.append(target)
    return UNREACHABLE


@st.composite
def vocabularies(draw: st.DrawFn) -> list[bytes]:
    """Pieces of a text, some bytes, and things that no text holds; never all bytes, so that some states are traps."""
    blob = TEXT.encode()
    spans = st.tuples(st.integers(0, len(blob) - 1), st.integers(1, 9)).map(lambda at: blob[at[0] : sum(at)])
    pieces = st.one_of(
        spans, st.sampled_from([b"", b"\xea", b"\xff", "漢".encode(), b"K", b" "]), st.binary(max_size=3)
    )
    return draw(st.lists(pieces, max_size=30))


@given(written=vocabularies(), literals=st.sampled_from([(), ("#K#", "大"), DEFAULT_LITERALS]))
@settings(max_examples=120, deadline=None)
def test_following_and_distance_are_those_of_loops(written: list[bytes], literals: tuple[str, ...]) -> None:
    automaton = automaton_of(literals)
    distance = [tokens_to_the_end(automaton, written, state) for state in range(len(automaton.transitions))]
    expected = {}
    for state in range(len(distance)):
        for token, piece in enumerate(written):
            target = run(automaton, state, piece) if piece else DEAD
            if target != DEAD and distance[target] != UNREACHABLE:
                expected[state, token] = target
    if not expected:
        with pytest.raises(ValueError, match="can write no text of this charset"):
            build_tables(automaton, written)
        return
    tables = build_tables(automaton, written)
    assert tables.columns.tolist() == sorted({token for _, token in expected})
    states, places = np.nonzero(tables.following != DEAD)
    actual = {
        (state, int(tables.columns[place])): int(tables.following[state, place])
        for state, place in zip(states.tolist(), places.tolist(), strict=True)
    }
    assert actual == expected
    assert tables.distance.tolist() == distance
    cost = {key: distance[target] for key, target in expected.items()}
    assert {
        (s, int(t)): int(tables.cost[s, c]) for c, t in enumerate(tables.columns) for s in range(len(distance))
    } == {(s, int(t)): cost.get((s, int(t)), UNREACHABLE) for t in tables.columns for s in range(len(distance))}


@pytest.mark.parametrize("written", [[], [b""], [b"K"], ["漢字".encode()], [b"\xea", b"K"], [b"\xff"]])
def test_a_vocabulary_that_writes_nothing_is_refused(written: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"model\.constraint: the vocabulary can write no text") as caught:
        build_tables(automaton_of(()), written)
    assert "\n" not in str(caught.value)


def test_more_states_than_the_tables_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """State numbers of 16 bits would wrap around in silence."""
    monkeypatch.setattr(tables, "_MAX_STATES", 21)
    with pytest.raises(ValueError, match=r"come to 22 states, and the tables hold 21; give fewer or shorter literals"):
        build_tables(automaton_of(()), ["가".encode()])


def test_a_fragment_without_its_rest_is_never_allowed() -> None:
    """A token that begins a character which no other token ends would be a trap."""
    tables = build_tables(automaton_of(()), ["가".encode(), b"\xed", b"\xea", b"\xb0\x80"])
    assert tables.columns.tolist() == [0, 2, 3]


def test_accepts_follows_ids() -> None:
    written = [b"", "뷁".encode()[:2], "뷁".encode()[2:], b"K", " 가".encode(), b"#Person", b"1#"]
    tables = build_tables(automaton_of(DEFAULT_LITERALS), written)
    texts = {(): True, (1, 2): True, (1,): False, (2,): False, (4, 1, 2): True, (3,): False, (0,): False}
    texts |= {(5, 6): True, (5,): False, (5, 4): False, (6,): True, (99,): False, (4, 3): False}
    assert {ids: tables.accepts(ids) for ids in texts} == texts


@pytest.mark.parametrize(("kind", "is_all"), [("byte_level", True), ("fallback_bpe", True), ("metaspace_bpe", False)])
def test_syllables_of_a_trained_vocabulary(tables_of: Callable[[str], TokenTables], kind: str, is_all: bool) -> None:
    """Bytes write every syllable; without them, those of the training text alone, and no token is a fragment."""
    tables = tables_of(kind)
    single = {piece: index for index, piece in enumerate(tables.written) if piece}
    reachable = 0
    for point in range(0xAC00, 0xD7A4):
        text = chr(point).encode()
        ids = [single[text]] if text in single else [single.get(bytes([byte]), -1) for byte in text]
        reachable += tables.accepts(ids)
    assert (reachable == 11_172) is is_all
    fragments = [piece for piece in single if "\ufffd" in piece.decode("utf-8", "replace")]
    assert bool(fragments) is is_all
