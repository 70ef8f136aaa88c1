"""Charsets as sets of code points, held against Python's own sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.decode.charset import NAMED_SETS, Charset, Span, intersect_spans, merge_spans, subtract_spans

SYLLABLES = {chr(point) for point in range(0xAC00, 0xD7A4)}
ASCII_MARKS = {chr(point) for point in range(0x21, 0x7F) if not chr(point).isalnum()}
KOREAN_MARKS = set("·…‥‘’“”–—―「」『』〈〉《》※○×□")
JAMO = {chr(point) for point in range(0x3131, 0x3164)}

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=6)


def points(ranges: tuple[Span, ...] | list[Span]) -> set[int]:
    return {point for first, last in ranges for point in range(first, last + 1)}


def is_canonical(ranges: tuple[Span, ...]) -> bool:
    return all(first <= last for first, last in ranges) and all(
        ranges[place][1] + 1 < ranges[place + 1][0] for place in range(len(ranges) - 1)
    )


@given(spans, spans)
def test_spans_are_sets(one: list[Span], other: list[Span]) -> None:
    results = {
        merge_spans([*one, *other]): points(one) | points(other),
        intersect_spans(one, other): points(one) & points(other),
        subtract_spans(one, other): points(one) - points(other),
    }
    for ranges, expected in results.items():
        assert points(ranges) == expected
        assert is_canonical(ranges)


def test_korean_is_these_characters_and_no_other() -> None:
    expected = SYLLABLES | JAMO | set("0123456789 \n") | ASCII_MARKS | KOREAN_MARKS
    charset = Charset()
    assert {chr(point) for point in charset.code_points} == expected
    assert len(expected) == len(SYLLABLES) + len(JAMO) + 12 + len(ASCII_MARKS) + len(KOREAN_MARKS) == 11_289
    assert {chr(point) for point in range(0x110000) if chr(point) in charset} == expected


def test_sets_join() -> None:
    latin = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    assert {chr(point) for point in Charset(name="latin").code_points} == latin
    assert Charset(name=" latin + korean ").code_points == Charset().code_points | Charset(name="latin").code_points
    assert set(NAMED_SETS) == {"korean", "latin"}


def test_own_ranges_and_characters() -> None:
    added = Charset(ranges=["U+4E00-U+4E02", "3400..3401", "あ-う"], characters="é✓").code_points  # type: ignore[arg-type]
    assert {chr(point) for point in added - Charset().code_points} == set("一丁丂㐀㐁あぃいぅうé✓")
    # Decomposed characters count as what they compose.
    assert Charset(characters="e\u0301").spans == Charset(characters="é").spans


@pytest.mark.parametrize("item", ["", "가나", 0xAC00, None, b"a", "\uffff"])
def test_only_single_characters_are_members(item: object) -> None:
    assert item not in Charset()


def test_fingerprint_is_that_of_the_set() -> None:
    one = Charset(name="korean+latin", ranges=("U+00E0-U+00E2",), characters="é")
    same = Charset(name="latin+korean", characters="éàáâ")
    assert one != same
    assert one.fingerprint == same.fingerprint
    assert str(Charset(ranges=("U+4E00-U+9FFF",), characters="é✓")) == "korean + U+4E00-U+9FFF, é, ✓"
    others = [Charset(), Charset(name="latin"), Charset(characters="é"), one]
    assert len({charset.fingerprint for charset in others}) == 4
    assert Charset(ranges=["U+4E00-U+9FFF"]) == Charset(ranges=("U+4E00-U+9FFF",))  # type: ignore[arg-type]
    assert hash(Charset(ranges=["U+4E00-U+9FFF"])) == hash(Charset(ranges=("U+4E00-U+9FFF",)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "hangul"}, "charset names 'hangul'; known: korean, latin"),
        ({"name": "korean+"}, "charset names ''"),
        ({"ranges": ["4E00"]}, "'4E00' is no range; write U\\+4E00-U\\+9FFF"),
        ({"ranges": ["U+9FFF-U+4E00"]}, "range 'U\\+9FFF-U\\+4E00' is empty"),
        ({"ranges": ["U+4E00-U+110000"]}, "ends behind U\\+10FFFF"),
        ({"ranges": ["U+D700-U+E000"]}, "holds surrogates"),
        ({"ranges": ["U+DC00-U+DC01"]}, "holds surrogates"),
        ({"characters": "\ud800"}, "U\\+D800 is no character of a text"),
        ({"characters": "\ufffd"}, "U\\+FFFD is no character of a text"),
        ({"ranges": ["U+FFF0-U+FFFF"]}, "U\\+FFFD is no character of a text"),
    ],
)
def test_what_is_no_charset_is_refused_in_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Charset(**settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
