"""Row literals by a regular expression, and foreign places by trying every reading of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, ends_word, foreign_places, row_literals, starts_word
from kosum_pl.types import TAG_PATTERN

KOREAN = Charset()
# Letters, digits and signs of the alphabet below that run on into a word; the last three are outside the charset.
PARTS = "37Kké大°"
WORD = re.compile(rf"[{PARTS}]+(?:(?:[-.'&]|(?<=[37])[,:](?=[37]))[{PARTS}]+)*")
ALPHABET = PARTS + "-.'&,:#( 가ㅋ\n"
texts = st.text(ALPHABET, max_size=14)


@given(texts)
@settings(max_examples=300)
@example("#K#")
def test_row_literals_are_those_of_a_regular_expression(text: str) -> None:
    found = [word for word in WORD.findall(TAG_PATTERN.sub(" ", text)) if re.search("[Kké大°]", word)]
    assert row_literals(text, KOREAN) == tuple(dict.fromkeys(found))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("#Person1#: Jimmy, KTX 타자. #PhoneNumber#로 전화해. Jimmy!", ("Jimmy", "KTX")),
        ("12,000km, 3:30PM, A:B, 1,a", ("12,000km", "3:30PM", "A", "B", "a")),
        ("e\u0301 cafe\u0301", ("é", "café")),
        ("Wi-Fi랑 U.S. rock'n'roll -x- a--b AT&T a_b x@y.z", ("Wi-Fi", "U.S", "rock'n'roll", "x", "a", "b", "AT&T")),
        ("大會 100℃ 😀😀 ₩5", ("大會", "100℃", "😀😀", "₩5")),
        ("a\ufffdb \u1112\u1161x \ud800y", ("a", "b", "x", "y")),
        ("k" * 96 + " " + "m" * 97 + " " + "大" * 32 + " " + "會" * 33, ("k" * 96, "大" * 32)),
        ("\u200bK\u00adL", ("K", "L")),
        ("가 \u1112\u1161\u1112 나 K\u1161TX", ("K", "TX")),
        ("", ()),
    ],
)
def test_row_literals(text: str, words: tuple[str, ...]) -> None:
    found = row_literals(text, KOREAN)
    assert found[: len(words)] == words
    assert set(found) - set(words) <= {"a_b", "x@y.z"}


def test_a_wider_charset_needs_fewer_words() -> None:
    assert row_literals("Jimmy 大會 5km", Charset(name="korean+latin")) == ("大會",)


def fewest(text: str, literals: Sequence[str], words: Sequence[str]) -> int:
    """Foreign characters that the best reading leaves, by trying all."""

    @cache
    def best(place: int) -> int:
        if place == len(text):
            return 0
        options = [best(place + 1) + (text[place] not in KOREAN)]
        options += [best(place + len(word)) for word in literals if word and text.startswith(word, place)]
        for word in words:
            end = place + len(word)
            is_whole = starts_word(text, place, KOREAN) and ends_word(text, end, KOREAN)
            if word and text.startswith(word, place) and is_whole:
                options.append(best(end))
        return min(options)

    return best(0)


short_words = st.lists(st.text("Kk大3-.# ", max_size=4), max_size=4)


@given(text=texts, literals=short_words, words=short_words)
@settings(max_examples=300)
def test_foreign_places_are_the_fewest(text: str, literals: list[str], words: list[str]) -> None:
    places = foreign_places(text, charset=KOREAN, literals=literals, row_words=words)
    assert len(places) == fewest(text, literals, words)
    assert places == sorted(set(places))
    assert all(text[place] not in KOREAN for place in places)


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ("KTX로 Wi-Fi를", ""),
        ("KTX, (KTX) 'KTX' KTX.", ""),
        ("KTXs", "KTXs"),
        ("aKTX", "aKTX"),
        ("3KTX", "KTX"),
        ("KTX3", "KTX"),
        ("3.KTX", "KTX"),
        ("KTX-산", ""),
        ("KTX-KTX", "KTX"),
        ("ktx", "ktx"),
        ("大KTX", "大KTX"),
        ("#Person1#KTX #Person9#", "Person"),
        ("가\u1100\u1161", "\u1100\u1161"),
    ],
)
def test_row_words_are_whole_and_exact(text: str, foreign: str) -> None:
    places = foreign_places(text, charset=KOREAN, literals=DEFAULT_LITERALS, row_words=["KTX", "Wi-Fi"])
    assert "".join(text[place] for place in places) == foreign


def test_default_literals_are_the_tags_of_the_data() -> None:
    assert len(set(DEFAULT_LITERALS)) == 15
    assert all(TAG_PATTERN.fullmatch(literal) for literal in DEFAULT_LITERALS)
    assert DEFAULT_LITERALS[:2] == ("#Person1#", "#Person2#")
