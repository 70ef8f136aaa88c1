"""The byte automaton against regular expressions over characters."""

from __future__ import annotations

import re
import time
from random import Random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.automaton import ByteAutomaton, build_automaton, build_utf8_automaton
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.utf8 import utf8_sequences
from kosum_pl.decode.literals import DEFAULT_LITERALS, ends_word, starts_word

KOREAN, UTF8 = build_automaton(Charset()), build_utf8_automaton()
MIXED = build_automaton(Charset(), ["K#", "大-K", "-大", "Ka"])
# Ends of the lengths of UTF-8 and what lies beside Hangul, where a range is split.
EDGES = (0x7F, 0x80, 0x7FF, 0x800, 0xABFF, 0xAC00, 0xD7A3, 0xD7FF, 0xE000, 0xFFFC, 0xFFFE, 0x10000, 0x10FFFF)
code_points = st.one_of(st.sampled_from(EDGES), st.integers(0, 0x10FFFF)).filter(
    lambda point: not 0xD800 <= point < 0xE000 and point != 0xFFFD
)
ranges = (
    st.tuples(code_points, code_points)
    .map(sorted)
    .filter(lambda ends: not (ends[0] < 0xD800 <= ends[1]) and not ends[0] <= 0xFFFD <= ends[1])
)
characters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffd"), max_size=3)
# Overlapping, one the beginning of another, with connectors, beyond the BMP.
literals = st.lists(st.text("#Ka가-.😀大", max_size=4), max_size=5)


def step_over(automaton: ByteAutomaton, text: str) -> int:
    state = automaton.start
    for byte in text.encode():
        state = DEAD if state == DEAD else int(automaton.transitions[state, byte])
    return state


@given(
    name=st.sampled_from(["korean", "latin", "korean+latin"]),
    ranges=st.lists(ranges, max_size=3),
    characters=characters,
    literals=literals,
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_accepts_what_a_regular_expression_matches(
    name: str, ranges: list[list[int]], characters: str, literals: list[str], data: st.DataObject
) -> None:
    charset = Charset(
        name=name, ranges=tuple(f"U+{first:04X}-U+{last:04X}" for first, last in ranges), characters=characters
    )
    automaton = build_automaton(charset, literals)
    inside = "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in charset.spans)
    pattern = re.compile(
        "|".join([f"[{inside}]", *(re.escape(literal) for literal in literals if literal)]).join(["(?:", ")*"])
    )
    beside = [
        chr(point + by)
        for first, last in ranges
        for point in (first, last)
        for by in (-1, 0, 1)
        if 0 <= point + by < 0x110000 and not 0xD800 <= point + by < 0xE000
    ]
    pieces = st.sampled_from([*filter(None, literals), *beside, *characters, *"가힣ㅋ3Ka#-. 大😀"])
    for _ in range(8):
        text = "".join(data.draw(st.lists(pieces, max_size=6)))
        assert automaton.accepts(text.encode()) == (pattern.fullmatch(text) is not None), text


@pytest.mark.parametrize("charset", [Charset(), Charset(name="latin", ranges=("U+4E00-U+9FFF", "U+1F600-U+1F64F"))])
def test_every_code_point(charset: Charset) -> None:
    """All of the charset and nothing else, over all that UTF-8 can write."""
    automaton = build_automaton(charset, DEFAULT_LITERALS)
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    assert {point for point in points if automaton.accepts(chr(point).encode())} == charset.code_points


@given(st.binary(max_size=6))
@example(b"\xed\xa0\x80")  # a surrogate
@example(b"\xc0\xa0")  # a space in too many bytes
@example(b"\xea\xb0")
def test_no_invalid_utf8(text: bytes) -> None:
    try:
        is_text = all(char in Charset() for char in text.decode())
    except UnicodeDecodeError:
        is_text = False
    assert KOREAN.accepts(text) == is_text
    try:
        text.decode()
        is_valid = True
    except UnicodeDecodeError:
        is_valid = False
    assert UTF8.accepts(text) == is_valid


@given(st.text("가K3-.:,'# 大", max_size=8))
@settings(max_examples=300)
def test_states_tell_where_a_word_may_start(text: str) -> None:
    """For every text of the automaton: free where `starts_word` says so, accepting as the text is whole."""
    state = step_over(MIXED, text)
    if state == DEAD or not MIXED.is_accepting[state]:
        return
    assert MIXED.is_free[:, state].tolist() == [starts_word(f"{text}X", len(text), Charset())] * 2


@pytest.mark.parametrize("word", ["K", "大", "K.", "K-", "#K#", "K ", "K--", "K가"])
def test_behind_a_word_no_letter_follows(word: str) -> None:
    """What follows a row's word is what `ends_word` allows; the next word starts where `starts_word` allows."""
    automaton, charset = MIXED, Charset()
    behind = int(automaton.behind_word[automaton.ending_of(word), DEAD])
    assert automaton.is_accepting[behind]
    for char in "가ㅋ3Ka-.,: #大é":
        state = behind
        for byte in char.encode():
            state = DEAD if state == DEAD else int(automaton.transitions[state, byte])
        is_allowed = state != DEAD and bool(automaton.is_accepting[state])
        # `-大` and `大-K` begin as literals: `-` is in the charset anyway, `大` not.
        assert is_allowed == (char in charset and ends_word(char, 0, charset)), char
        if is_allowed:
            assert bool(automaton.is_free[1, state]) == starts_word(f"{word}{char}X", len(word) + 1, charset), char


def test_is_minimal_and_small() -> None:
    """No two states agree in every continuation; tags cost states, not copies of the charset."""
    plain, tagged = build_automaton(Charset()), build_automaton(Charset(), DEFAULT_LITERALS)
    assert len(plain.transitions) == 22
    assert len(tagged.transitions) == 116
    for automaton in (plain, tagged):
        marks = np.column_stack([automaton.is_accepting, *automaton.is_free, automaton.transitions])
        assert len(np.unique(marks, axis=0)) == len(marks)
    # A literal that the charset spells already changes nothing.
    same = build_automaton(Charset(), ["가-나", "-", "3."])
    assert np.array_equal(same.transitions, plain.transitions)
    assert np.array_equal(same.is_free, plain.is_free)


def test_order_and_repetition_of_literals_do_not_matter() -> None:
    one, other = build_automaton(Charset(), ["#K#", "K"]), build_automaton(Charset(), ["K", "", "#K#", "K"])
    texts = ["K", "#K#", "#KK#", "#K", "##", "K#", "#L#"]
    assert [one.accepts(text.encode()) for text in texts] == [other.accepts(text.encode()) for text in texts]
    assert [one.accepts(text.encode()) for text in texts] == [True] * 6 + [False]
    assert len(one.transitions) == len(other.transitions)


def test_thousands_of_literals_and_long_ones_take_seconds() -> None:
    """Time grows with what is written: 3,000 literals once took half a minute. And none is too long."""
    random = Random(0)
    hangul, letters = [chr(point) for point in range(0xAC00, 0xB000)], "ABCDEFGHabcdefgh"
    names = {"".join(random.choices(hangul, k=3)) + "".join(random.choices(letters, k=4)) for _ in range(3000)}
    started = time.process_time()
    automaton, long = build_automaton(Charset(), [*names]), build_automaton(Charset(), ["긴" * 400 + "X"])
    assert time.process_time() - started < 15
    for name in sorted(names)[::100]:
        assert automaton.accepts(f"오늘 {name}를 만난다.".encode())
        assert not automaton.accepts(f"오늘 {name[:-1]}를 만난다.".encode()) or name[:-1] in names
    assert long.accepts(("긴" * 402 + "X").encode())
    assert not long.accepts(("긴" * 399 + "X").encode())


@given(st.lists(ranges, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_utf8_sequences_hold_exactly_the_ranges(spans: list[list[int]]) -> None:
    """Every code point beside an end, and a draw of those inside."""
    sequences = list(utf8_sequences([(first, last) for first, last in spans]))
    near = {point + by for ends in spans for point in ends for by in (-65, -64, -1, 0, 1, 63, 64)}
    inside = {first + (last - first) * part // 7 for first, last in spans for part in range(8)}
    for point in near | inside | set(EDGES):
        if not 0 <= point < 0x110000 or 0xD800 <= point < 0xE000:
            continue
        written = chr(point).encode()
        is_held = any(
            len(sequence) == len(written)
            and all(low <= byte <= high for byte, (low, high) in zip(written, sequence, strict=True))
            for sequence in sequences
        )
        assert is_held == any(first <= point <= last for first, last in spans), hex(point)
