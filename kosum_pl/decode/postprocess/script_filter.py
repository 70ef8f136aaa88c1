"""Leftover-script filter: takes out what nothing allows, and tidies the seams.

In: a text and what its row allows. Out: the text without a foreign character. A blacklist of scripts would leak; this
asks `foreign_places`, the same rule the automaton generates by, so that constrained text passes unchanged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

from kosum_pl.decode.literals import BROKEN_CATEGORIES, CONNECTORS, AllowedText, is_word_character
from kosum_pl.types import TAG_PATTERN

# Goes as a whole when a letter of it goes, as its digits and marks alone mean nothing: a tag, a title, initials.
_WHOLE: Final = (
    TAG_PATTERN,
    re.compile(r"(?<![A-Za-z])(?:Mr|Mrs|Ms|Dr|Prof)\."),
    re.compile(r"(?<![A-Za-z])(?:[A-Za-z]\.)+[A-Za-z](?![A-Za-z])\.?"),
)
# Stands for a dropped character while seams are tidied: a surrogate, which no charset holds.
_HOLE: Final = "\ud800"
_HOLES: Final = rf"[ {_HOLE}]*{_HOLE}[ {_HOLE}]*"
_FILLER: Final = "\u3164"
# 한국(韓國)은 → 한국은: an empty bracket goes too.
_EMPTY_PAIR: Final = re.compile(
    rf"(?:(?P<quote>[\"'])|[(\[{{「『〈《“‘])[ ,·/]*{_HOLES}[ ,·/{_HOLE}]*(?(quote)(?P=quote)|[)\]}}」』〉》”’])"
)
# A sentence, or an item of a list, of which nothing but its mark is left.
_LONE_MARK: Final = re.compile(rf"(?<=[.,·?!]){_HOLES}[.,·?!]+(?=\s|$)")
_LONE_START: Final = re.compile(rf"^(?:{_HOLES}[.,·?!]+(?=\s|$)|[-*·] ?{_HOLES}$)", re.MULTILINE)
_SEAM: Final = re.compile(_HOLES)
_NO_SPACE_BEFORE: Final = re.compile(r"[.,?!](?:\s|$)|[)\]}」』〉》”’]|\n|$")
_NO_SPACE_AFTER: Final = re.compile(r"(?:^|[\n(\[{「『〈《“‘])\Z")


def filter_scripts(text: str, allowed: AllowedText) -> str:
    """Drop every character that nothing allows, and the spaces, brackets and marks that this leaves over.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> from kosum_pl.decode.literals import allowed_text
        >>> allowed = allowed_text("#Person1#: KTX 타자.", charset=Charset(), literals=("#Person1#",))
        >>> filter_scripts("#Person1#은 明日 KTX(高速)로 go 떠난다.", allowed)
        '#Person1#은 KTX로 떠난다.'
    """
    while foreign := allowed.foreign_places(text):
        # Broken characters and odd spaces first: a word beside them (KTX + U+FFFD) may be allowed without them.
        slight = [index for index in foreign if _is_slight(text[index])]
        if slight:
            text = _drop(text, slight, gap="")
        else:
            # 3年2月 must not become 32.
            text = _drop(text, _with_its_marks(text, foreign, kept=(*allowed.literals, *allowed.tags)), gap=" ")
    return text


def _is_slight(char: str) -> bool:
    return _is_space(char) or char == "\ufffd" or unicodedata.category(char) in BROKEN_CATEGORIES


def _is_space(char: str) -> bool:
    return char.isspace() or char == _FILLER


def _with_its_marks(text: str, indices: Sequence[int], *, kept: Sequence[str]) -> list[int]:
    """Foreign characters and the marks that belong to them: of tags, titles, hashtags, between two foreign letters."""
    foreign = set(indices)
    wholes = [range(*found.span()) for pattern in _WHOLE for found in pattern.finditer(text)]
    marks = {
        index
        for index, char in enumerate(text)
        if index + 1 in foreign and (char == "#" or (char in CONNECTORS and index - 1 in foreign))
    }
    lost = marks.union(*(whole for whole in wholes if foreign.intersection(whole)))
    # The sign before a foreign word may close a tag: `#Person1#Jim`.
    found = [match for literal in kept if literal for match in re.finditer(re.escape(literal), text)]
    safe = {index for match in found for index in range(*match.span())}
    return sorted(foreign | (lost - safe))


def _drop(text: str, indices: Sequence[int], *, gap: str) -> str:
    """The text without these characters; `gap` stands where two letters or digits would run into one word."""
    chars = list(text)
    for index in indices:
        chars[index] = " " if _is_space(chars[index]) else _HOLE
    before, text = "", "".join(chars)
    while before != text:
        before, text = text, _EMPTY_PAIR.sub(_HOLE, text)
    text = _LONE_START.sub(_HOLE, _LONE_MARK.sub("", text))
    return _SEAM.sub(lambda seam: _joint(seam, gap), text)


def _joint(seam: re.Match[str], gap: str) -> str:
    left, right = seam.string[: seam.start()], seam.string[seam.end() :]
    if _NO_SPACE_BEFORE.match(right) or _NO_SPACE_AFTER.search(left[-1:]):
        return ""
    is_fused = bool(left and right) and is_word_character(left[-1]) and is_word_character(right[0])
    return " " if " " in seam.group() else gap if is_fused else ""
