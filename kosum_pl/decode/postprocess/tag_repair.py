"""Tag repair: `#Person1 #` → `#Person1#`, for tags that the row's dialogue has.

In: a text and the dialogue's tags. Out: the text with its damaged tags mended. A tag is one token to ROUGE and a
literal to the constraint, so that a stray space or a lost `#` costs the whole of it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from kosum_pl.types import TAG_PATTERN

_HASH: Final = r"[#\uff03]"
_GAP: Final = r"[^\S\n]{0,3}"
_WORD: Final = "[A-Za-z0-9_]"
_NOTHING: Final = "(?!)"
_PERHAPS_A_WORD: Final = ("bare", "plain_left", "plain_right")


def repair_tags(text: str, *, tags: Sequence[str], dialogue: str = "") -> str:
    """Mend damaged tags; a tag that is right, and anything that only resembles one, stays.

    Between two `#`, spaces, another case and a mark before the number are mended. With one `#`, a name that ends in
    a number is mended in any case (`#person1`), another in its own (`#Email`); with none, only a numbered name in its
    own case (`Person1`). The last two stay where the dialogue itself writes them.

    Args:
        text: A summary.
        tags: Tags of its dialogue: no other is ever written.
        dialogue: May hold words that look like tags.

    Example:
        >>> repair_tags("#Person1 #은 person2#에게 #Person11과 # person 3# 얘기를", tags=["#Person1#", "#Person2#"])
        '#Person1#은 #Person2#에게 #Person11과 # person 3# 얘기를'
    """
    if not tags:
        return text
    right, damaged = _patterns(tuple(tags))
    words = TAG_PATTERN.sub(" ", dialogue)

    def mend(found: re.Match[str]) -> str:
        written = found.group()
        if found.lastgroup in _PERHAPS_A_WORD and written in words:
            return written
        return _meant(found[found.lastgroup or 0], tags) or written

    # Right tags are cut out first, so that no neighbour takes one of their signs.
    parts = right.split(text)
    return "".join(part if index % 2 else damaged.sub(mend, part) for index, part in enumerate(parts))


def _meant(name: str, tags: Sequence[str]) -> str | None:
    """The tag of this name; failing that, the only one that differs in nothing but case."""
    wanted = "#" + re.sub(r"[\W_]", "", name) + "#"
    same = [tag for tag in tags if tag.casefold() == wanted.casefold()]
    return wanted if wanted in same else same[0] if len(same) == 1 else None


@lru_cache(maxsize=1024)
def _patterns(tags: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What a right tag of these looks like, and what a damaged one; the group that matched names the damage."""
    names = [tag.strip("#") for tag in tags]
    loose = "|".join(re.sub(r"(?<=[A-Za-z])(?=\d)", "[ _-]?", name) for name in names)
    numbered = "|".join(name for name in names if name[-1].isdigit()) or _NOTHING
    plain = "|".join(name for name in names if not name[-1].isdigit()) or _NOTHING
    # `C# Person1` keeps its sign.
    opening = rf"(?:(?<!{_WORD}){_HASH}{_GAP}|{_HASH})"
    # Not the sign that opens a neighbour: `#Person1 #Person2`.
    closing = rf"{_GAP}{_HASH}(?!{_GAP}(?i:{loose})(?!{_WORD}))"
    begin, end = rf"(?<!{_WORD})", rf"(?!{_WORD})"
    forms = (
        rf"{opening}(?P<between>(?i:{loose})){closing}",
        rf"{opening}(?P<left>(?i:{numbered})){end}",
        rf"{begin}(?P<right>(?i:{numbered})){closing}",
        rf"{begin}(?P<bare>{numbered}){end}",
        rf"{_HASH}(?P<plain_left>{plain}){end}",
        rf"{begin}(?P<plain_right>{plain}){_HASH}",
    )
    return re.compile("(" + "|".join(tags) + ")"), re.compile("|".join(forms))
