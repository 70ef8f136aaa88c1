"""The fewest states of small random automata, against telling every pair of states apart."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.constraint import minimal
from kosum_pl.decode.constraint.minimal import DEAD, Transitions, minimal_classes


@st.composite
def automata(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A table of up to 9 states and 3 bytes, and marks."""
    num_states = draw(st.integers(1, 9))
    targets = st.integers(DEAD, num_states - 1)
    table = draw(st.lists(st.lists(targets, min_size=3, max_size=3), min_size=num_states, max_size=num_states))
    marks = draw(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=num_states, max_size=num_states))
    return np.array(table), np.array(marks)


def transitions_of(table: np.ndarray) -> Transitions:
    sources, labels = np.nonzero(table != DEAD)
    return Transitions(sources, labels, table[sources, labels])


def unlike_pairs(table: np.ndarray, marks: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of states that some continuation tells apart, found by marking until nothing changes."""
    states = range(len(table))
    unlike = {pair for pair in product(states, states) if (marks[pair[0]] != marks[pair[1]]).any()}
    while True:
        more = set(unlike)
        for one, other in product(states, states):
            for a, b in zip(table[one].tolist(), table[other].tolist(), strict=True):
                if (a == DEAD) != (b == DEAD) or (a, b) in unlike:
                    more.add((one, other))
        if more == unlike:
            return unlike
        unlike = more


@given(automata())
@settings(max_examples=200, deadline=None)
def test_states_share_a_class_unless_something_tells_them_apart(automaton: tuple[np.ndarray, np.ndarray]) -> None:
    table, marks = automaton
    classes = minimal_classes(transitions_of(table), marks)
    states = range(len(table))
    assert {(a, b) for a, b in product(states, states) if classes[a] != classes[b]} == unlike_pairs(table, marks)
    firsts = [classes.tolist().index(number) for number in range(classes.max() + 1)]
    assert firsts == sorted(firsts), "classes are numbered by their first states"
    merged = transitions_of(table).merged(classes)
    for state, label in product(states, range(3)):
        target = table[state, label]
        assert merged[classes[state], label] == (DEAD if target == DEAD else classes[target])


def test_an_unlucky_draw_of_random_numbers_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, default_rng = [], np.random.default_rng

    class Constant:
        """Gives every class and byte the same number, so that all states look alike."""

        def integers(self, *_: int, size: int, dtype: type) -> np.ndarray:
            return np.ones(size, dtype=dtype)

    def generator(seed: int) -> object:
        seeds.append(seed)
        return Constant() if seed == 0 else default_rng(seed)

    monkeypatch.setattr(minimal.np.random, "default_rng", generator)
    table = np.array([[1, 2], [1, DEAD], [DEAD, 2]])
    marks = np.array([[False], [True], [False]])
    assert minimal_classes(transitions_of(table), marks).tolist() == [0, 1, 2]
    assert seeds == [0, 1]
