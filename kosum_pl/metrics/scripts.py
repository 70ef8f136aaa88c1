"""Which script a character belongs to.

In: a character. Out: the long name of its script in Unicode (`Han`, `Latin`). Scripts are read from the Unicode
database, never from ranges of our own: Han alone stands in more than twenty of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import regex

_NAMED: Final = (
    *("Han", "Hiragana", "Katakana", "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Thai", "Devanagari", "Hangul"),
    *("Common", "Inherited"),
)
OTHER_SCRIPT: Final = "Other"
SCRIPTS: Final = (*_NAMED, OTHER_SCRIPT)
"""All that `script_of` can answer, in the order of tables."""

_PATTERN: Final = regex.compile("|".join(rf"(?P<{name}>\p{{Script={name}}})" for name in _NAMED))


@lru_cache(maxsize=65536)
def script_of(char: str) -> str:
    """Script of a character, one of `SCRIPTS`.

    `Common` are marks, digits, symbols and emoji that many scripts share, the kana length mark `ー` among them;
    `Inherited` are combining marks; `Other` is any script not listed, and what is no character.

    Source:
        Unicode Standard Annex 24, property Script.

    Example:
        >>> [script_of(char) for char in "漢ひカKДไ가★ა"]
        ['Han', 'Hiragana', 'Katakana', 'Latin', 'Cyrillic', 'Thai', 'Hangul', 'Common', 'Other']
    """
    if len(char) != 1:
        raise ValueError(f"script_of got {len(char)} characters ({char[:20]!r}); give it one at a time")
    found = _PATTERN.match(char)
    return str(found.lastgroup) if found else OTHER_SCRIPT
