"""Which words of a prediction its reference does not have, and the other way round.

In: two texts. Out: the pieces of each, marked where they differ. ROUGE says how far apart they lie; this shows where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

# A tag stays whole, and its particle is a word of its own: `#Person1#은` against `#Person2#은` differs in the tag.
_WORD: Final = re.compile(r"(?:#[A-Za-z]+\d*#|[^\s#]+|#)\s*|\s+")
_MAX_WORDS: Final = 2000


class Piece(NamedTuple):
    """A stretch of a text, marked or not; `title` is what a pointer over the mark shows."""

    text: str
    is_marked: bool = False
    title: str = ""


def diff_words(prediction: str, reference: str) -> tuple[list[Piece], list[Piece]]:
    """Pieces of both texts, marked where the other lacks them; joined they are the texts again.

    Example:
        >>> for pieces in diff_words("밥을 먹었다", "밥을 많이 먹었다"):
        ...     print([(piece.text, piece.is_marked) for piece in pieces])
        [('밥을 ', False), ('먹었다', False)]
        [('밥을 ', False), ('많이', True), (' ', False), ('먹었다', False)]
    """
    first, second = _WORD.findall(prediction), _WORD.findall(reference)
    # Beyond any summary: the matcher's time grows with the square.
    if max(len(first), len(second)) > _MAX_WORDS:
        return [Piece(prediction)], [Piece(reference)]
    matcher = SequenceMatcher(a=[word.strip() for word in first], b=[word.strip() for word in second], autojunk=False)
    ours: list[Piece] = []
    theirs: list[Piece] = []
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        ours += _pieces(first[start:end], is_marked=kind != "equal")
        theirs += _pieces(second[other_start:other_end], is_marked=kind != "equal")
    return ours, theirs


def _pieces(words: Sequence[str], *, is_marked: bool) -> list[Piece]:
    """White space behind marked words stays outside of the mark."""
    text = "".join(words)
    marked = text.rstrip() if is_marked else ""
    return [piece for piece in (Piece(marked, True), Piece(text[len(marked) :])) if piece.text]
