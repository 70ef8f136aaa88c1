"""The vocabulary's trie against loops over states, tokens and bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint import token_trie
from kosum_pl.decode.constraint.automaton import build_automaton
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.token_trie import NO_BASE, build_trie, find_bases

# Half-written words with Hangul in front: many states in which a text may go on with anything.
AUTOMATON = build_automaton(Charset(), [f"{a}{b}{a}K{b}" for a in "가나다라" for b in "마바사아자"])
TRANSITIONS = AUTOMATON.transitions
pieces = st.lists(st.text("가나마K #1大", max_size=4).map(str.encode) | st.binary(max_size=3), max_size=25)


def end_of(state: int, piece: bytes) -> int:
    for byte in piece:
        state = DEAD if state == DEAD else int(TRANSITIONS[state, byte])
    return state


@given(written=pieces, has_bases=st.booleans())
@settings(max_examples=60, deadline=None)
def test_tokens_lead_where_their_bytes_do(written: list[bytes], has_bases: bool) -> None:
    num_states = len(TRANSITIONS)
    bases = find_bases(TRANSITIONS, AUTOMATON.is_accepting) if has_bases else np.full(num_states, NO_BASE)
    steps = build_trie(written).run(TRANSITIONS, np.arange(num_states), bases)
    found = {(state, token): end for state, token, end in zip(*(part.tolist() for part in steps), strict=True)}
    assert len(found) == len(steps[0]), "no pair stands twice"
    for state in range(num_states):
        for token, piece in enumerate(written):
            base = int(bases[state])
            end, other = end_of(state, piece), DEAD if base == NO_BASE else end_of(base, piece)
            assert found.get((state, token), other) == (end if piece else other)
            assert (state, token) not in found or end != other


def test_a_base_is_like_its_states_and_has_none_itself() -> None:
    bases = find_bases(TRANSITIONS, AUTOMATON.is_accepting)
    has_base = np.flatnonzero(bases != NO_BASE)
    assert len(has_base) >= 20
    assert (bases[bases[has_base]] == NO_BASE).all()
    assert ((TRANSITIONS[has_base] != TRANSITIONS[bases[has_base]]).sum(axis=1) <= 16).all()
    assert AUTOMATON.is_accepting[has_base].all()


def test_a_walk_in_small_parts_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    trie = build_trie([piece.encode() for piece in ("가나", "가", "마K", "#1", " 나", "K마", "나다라")])
    states, bases = np.arange(len(TRANSITIONS)), find_bases(TRANSITIONS, AUTOMATON.is_accepting)
    whole = {*zip(*(part.tolist() for part in trie.run(TRANSITIONS, states, bases)), strict=True)}
    monkeypatch.setattr(token_trie, "_PAIRS_AT_ONCE", 3)
    assert {*zip(*(part.tolist() for part in trie.run(TRANSITIONS, states, bases)), strict=True)} == whole
    assert len(whole) == 19
