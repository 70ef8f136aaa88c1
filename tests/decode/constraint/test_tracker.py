"""States from ids alone: any order, any step back, and nothing remembered that matters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.automaton import build_automaton
from kosum_pl.decode.constraint.kinds import AutomatonConstraint
from kosum_pl.decode.constraint.row_tables import RowTables
from kosum_pl.decode.constraint.tables import TokenTables, build_tables
from kosum_pl.decode.constraint.tracker import ENDED, StateTracker

EOS, SILENT, WIDE = 256, 257, 300
WRITTEN = [*(bytes([byte]) for byte in range(256)), b"", b"", b"KTX", "뷁".encode(), " 가".encode()]
CONSTRAINT = AutomatonConstraint(build_tables(build_automaton(Charset(), ["#K#"]), WRITTEN), eos_token_ids=[EOS, 10])
WORDS = (["KTX"], [], ["大", "KT"])
TOKENS = st.sampled_from([*"뷁K#大 3".encode(), *b"TX", EOS, 10, SILENT, WIDE, 258, 259, 260])


def tracker(prompt_length: int = 0) -> StateTracker:
    return CONSTRAINT.tracker(WORDS, prompt_length=prompt_length)


def spelt(text: str) -> list[int]:
    return list(text.encode())


@given(
    calls=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2)), max_size=4),
    rows=st.lists(st.lists(TOKENS, min_size=6, max_size=6), min_size=6, max_size=6),
    prompt_length=st.integers(0, 2),
)
@settings(max_examples=150, deadline=None)
def test_states_are_folds_whatever_was_asked_before(
    calls: list[tuple[int, int]], rows: list[list[int]], prompt_length: int
) -> None:
    """Steps forward, back (a draft refused), other beams at the same place: the same as from the start."""
    asked, ids = tracker(prompt_length), torch.tensor(rows)
    for length, beams in [*calls, (6, 2)]:
        part = ids[: 3 * beams, :length] if beams == 2 else ids[[4, 1, 5], :length]
        if part.shape[1] < prompt_length:
            continue
        folded = [
            tracker().fold(sequence[prompt_length:], row=place // beams) for place, sequence in enumerate(part.tolist())
        ]
        assert asked.states(part) == folded


@pytest.mark.parametrize(
    ("ids", "is_between"),
    [
        ([], True),
        (spelt("가"), True),
        (spelt("뷁")[:2], False),
        (spelt("K"), False),
        (spelt("KT"), False),
        (spelt("KTX"), True),
        ([258], True),
        (spelt("#"), True),
        (spelt("#K"), False),
        (spelt("#K#"), True),
        ([EOS], True),
        ([*spelt("가"), 10, 5], True),
        ([*spelt("뷁")[:2], SILENT], False),
    ],
)
def test_is_between_characters(ids: list[int], is_between: bool) -> None:
    """In the row of `KTX`, behind a prompt that is no text."""
    sequences = torch.tensor([[7, 7, *ids]] * 3)
    assert tracker(prompt_length=2).is_between_characters(sequences)[0] is is_between


def test_terminators_end_for_good() -> None:
    one = tracker()
    assert one.fold([*spelt("가"), EOS], row=0) == ENDED
    assert one.fold([10], row=1) == ENDED, "a line break is a terminator here"
    assert one.fold([EOS, *spelt("가")], row=1) == ENDED
    assert one.common_state(ENDED, row=0) == ENDED


def test_silent_tokens_change_nothing_and_a_refused_draft_starts_anew() -> None:
    one = tracker()
    for row in range(3):
        inside = one.fold(spelt("뷁")[:1], row=row)
        assert one.step(inside, SILENT, row=row) == one.step(inside, WIDE, row=row) == inside
    assert one.fold(spelt("漢"), row=1) == one.tables.automaton.start
    assert one.fold([*spelt("KT"), *spelt("가")], row=0) == one.fold(spelt("가"), row=0)


def test_words_hold_in_their_row() -> None:
    one = tracker()
    inside = [one.fold(spelt("K"), row=row) for row in range(3)]
    assert [one.common_state(state, row=row) == -1 for row, state in enumerate(inside)] == [True, False, True]
    assert inside[1] == one.tables.automaton.start
    for length in (1, 2, 3, 3):  # the same ids in each row
        ids = torch.tensor([spelt("KTX")[:length]] * 3)
        assert one.states(ids) == [tracker().fold(ids[0].tolist(), row=row) for row in range(3)]


@pytest.mark.parametrize(("num_sequences", "rows"), [(3, [0, 1, 2]), (6, [0, 0, 1, 1, 2, 2]), (12, [0, 0, 0, 0, 1])])
def test_the_sequences_of_a_row_stand_together(num_sequences: int, rows: list[int]) -> None:
    assert [tracker().row_of(sequence, num_sequences) for sequence in range(num_sequences)][: len(rows)] == rows


def test_every_allowed_step_agrees_with_the_tables(tables_of: Callable[[str], TokenTables]) -> None:
    """From every common state, without words: the tables' own next state."""
    tables = tables_of("byte_level")
    nothing: list[RowTables | None] = [None]
    one = StateTracker(tables, eos_token_ids=[2], rows=nothing, prompt_length=0)
    for state in range(len(tables.following)):
        for column, token in enumerate(tables.columns.tolist()):
            if tables.following[state, column] >= 0:
                assert one.step(state, token, row=0) == tables.following[state, column]
