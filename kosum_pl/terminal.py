r"""Text of users on a terminal: what would command it, or hide in it, is spelt out.

In: ids, topics, file names, summaries, whatever a file holds. Out: the same text with control characters as escapes
(`\x1b[2J`), and the one way to print a line. A terminal obeys an escape sequence whoever wrote it: an id can clear the
screen, forge a line of the log or turn a path around. Files keep every text as it is. Only the standard library is
imported.
"""

from __future__ import annotations

import unicodedata
from typing import Final, TextIO

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: C0, C1 and DEL; bidi marks, zero-width and tag characters; lone surrogates; separators."""

TEXT: Final = "\n\t\u200d"
"""What running text keeps: line ends, tabs, and the joiner that holds an emoji's parts together."""


def escaped(text: str, *, kept: str = "") -> str:
    r"""Text as a terminal may have it; Korean and all that can be seen stays.

    Args:
        text: Any text; an id, a path or a line of a log by default.
        kept: Characters that stay although they cannot be seen, such as `TEXT`.

    Example:
        >>> escaped("\x1b[2J지민\u202e.csv"), escaped("가\n나"), escaped("가\n나", kept=TEXT)
        ('\\x1b[2J지민\\u202e.csv', '가\\n나', '가\n나')
    """
    if text.isprintable():
        return text
    return "".join(
        char.encode("unicode_escape").decode() if _is_unseen(char) and char not in kept else char for char in text
    )


def _is_unseen(char: str) -> bool:
    return not char.isprintable() and unicodedata.category(char) in _UNSEEN


def say(line: object, *, file: TextIO | None = None, flush: bool = False) -> None:
    r"""Print one line, on standard output unless a file is given; in one write, which no other process breaks.

    Example:
        >>> say("run directory: runs/\x1b]0;a\x07")
        run directory: runs/\x1b]0;a\x07
    """
    print(f"{escaped(str(line))}\n", end="", file=file, flush=flush)
