"""`Charset`: which characters are Korean text.

In: names of sets, ranges and characters, as YAML gives them. Out: a set of code points, as ranges for the automaton
and as a membership test for everything else. A set is closed under what a writer of Korean types; what a dialogue
brings along (KTX, Jimmy) is allowed row by row in `literals`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from kosum_pl.extensions import UnknownExtensionError, find_extension

Span = tuple[int, int]
"""First and last code point of a range, both included."""

_ASCII_MARKS: Final = tuple((ord(mark), ord(mark)) for mark in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
# Marks of the Korean orthography's appendix on punctuation, and their typographic forms.
_KOREAN_MARKS: Final = "·…‥‘’“”–—―「」『』〈〉《》※○×□"
NAMED_SETS: Final[dict[str, tuple[Span, ...]]] = {
    "korean": (
        (0xAC00, 0xD7A3),  # syllables
        (0x3131, 0x3163),  # compatibility jamo (ㅋㅋ, ㅠㅠ), without the filler and the old letters behind it
        (ord("0"), ord("9")),
        (ord(" "), ord(" ")),
        (ord("\n"), ord("\n")),
        *_ASCII_MARKS,
        *((ord(mark), ord(mark)) for mark in _KOREAN_MARKS),
    ),
    "latin": ((ord("A"), ord("Z")), (ord("a"), ord("z"))),
}
"""Sets that a charset's name may join with `+`."""

_RANGE: Final = re.compile(r"(?:U\+)?([0-9A-Fa-f]{4,6})\s*(?:-|\.\.)\s*(?:U\+)?([0-9A-Fa-f]{4,6})")
_SURROGATES: Final = range(0xD800, 0xE000)
_BROKEN: Final = ((_SURROGATES.start, _SURROGATES.stop - 1), (0xFFFD, 0xFFFD))


@dataclass(frozen=True, kw_only=True)
class Charset:
    """Characters that may stand in a summary of any row.

    A space is always among them, as tokenizers put it before words.

    Attributes:
        name: Names of `NAMED_SETS`, or of plug-ins, joined by `+`: `korean`, `korean+latin`.
        ranges: Further ranges of code points: `U+4E00-U+9FFF`, or `가-힣`.
        characters: Further characters.

    Raises:
        ValueError: An unknown name, a range that is none, or a character that no text should hold.

    Example:
        >>> charset = Charset(name="korean", ranges=("U+4E00-U+9FFF",), characters="é")
        >>> ["가" in charset, "大" in charset, "é" in charset, "K" in charset]
        [True, True, True, False]
    """

    name: str = "korean"
    ranges: tuple[str, ...] = ()
    characters: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", tuple(self.ranges))
        broken = intersect_spans(self.spans, _BROKEN)
        if broken:
            raise ValueError(
                f"charset: U+{broken[0][0]:04X} is no character of a text but the sign of a broken one; leave it out"
            )

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """Ranges of code points in order, none touching the next."""
        named = [span for name in self.name.split("+") for span in _named(name.strip())]
        own = [_read_range(text) for text in self.ranges]
        single = [(ord(char), ord(char)) for char in unicodedata.normalize("NFC", self.characters)]
        return merge_spans([*named, *own, *single, (ord(" "), ord(" "))])

    @cached_property
    def code_points(self) -> frozenset[int]:
        """All code points."""
        return frozenset(point for first, last in self.spans for point in range(first, last + 1))

    @property
    def fingerprint(self) -> str:
        """Changes with the set of characters, not with how it was written."""
        return hashlib.sha256(repr(self.spans).encode()).hexdigest()[:16]

    def __contains__(self, char: object) -> bool:
        return isinstance(char, str) and len(char) == 1 and ord(char) in self.code_points

    def __str__(self) -> str:
        own = [*self.ranges, *self.characters]
        return " ".join([self.name, *(f"+ {', '.join(own)}" for _ in own[:1])])


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same code points in the fewest ranges.

    Example:
        >>> merge_spans([(5, 9), (1, 3), (4, 6)])
        ((1, 9),)
    """
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)


def intersect_spans(spans: Sequence[Span], others: Sequence[Span]) -> tuple[Span, ...]:
    """Code points of both.

    Example:
        >>> intersect_spans([(1, 9)], [(0, 2), (5, 12)])
        ((1, 2), (5, 9))
    """
    both = [(max(a, c), min(b, d)) for a, b in spans for c, d in others]
    return merge_spans((first, last) for first, last in both if first <= last)


def subtract_spans(spans: Sequence[Span], removed: Sequence[Span]) -> tuple[Span, ...]:
    """Code points of the first that are not among the second.

    Example:
        >>> subtract_spans([(1, 9)], [(3, 4), (9, 12)])
        ((1, 2), (5, 8))
    """
    gaps = [-1, *(edge for first, last in merge_spans(removed) for edge in (first, last)), 0x110000]
    kept = [(gaps[i] + 1, gaps[i + 1] - 1) for i in range(0, len(gaps), 2)]
    return intersect_spans(spans, [span for span in kept if span[0] <= span[1]])


def _named(name: str) -> tuple[Span, ...]:
    try:
        found: Any = find_extension("charsets", name, shipped=NAMED_SETS, argument="charset")
    except UnknownExtensionError:
        raise ValueError(
            f"charset names '{name}'; known: {', '.join(NAMED_SETS)}, joined by '+'; "
            "anything else goes into ranges (U+4E00-U+9FFF) or characters"
        ) from None
    if isinstance(found, str):
        return tuple((ord(char), ord(char)) for char in found)
    return tuple((int(first), int(last)) for first, last in found)


def _read_range(text: str) -> Span:
    found = _RANGE.fullmatch(text.strip())
    if found:
        first, last = (int(end, 16) for end in found.groups())
    elif len(text) == 3 and text[1] == "-":
        first, last = ord(text[0]), ord(text[2])
    else:
        raise ValueError(f"charset: '{text}' is no range; write U+4E00-U+9FFF or 가-힣")
    if not first <= last <= 0x10FFFF:
        raise ValueError(f"charset: range '{text}' is empty or ends behind U+10FFFF; write the lower end first")
    if any(point in _SURROGATES for point in (first, last)) or first < _SURROGATES.start < last:
        raise ValueError(f"charset: range '{text}' holds surrogates U+D800-U+DFFF, which are no characters; split it")
    return first, last
