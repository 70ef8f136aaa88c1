"""Which words of a prediction its reference does not have, and the other way round.

In: two texts. Out: the pieces of each, marked where they differ. ROUGE says how far apart they lie; this shows where.
"""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Final

from kosum_pl.report.markup import Html, element, join

# A tag stays whole, and its particle is a word of its own: `#Person1#은` against `#Person2#은` differs in the tag.
_PIECE: Final = re.compile(r"#[A-Za-z]+\d*#|\s+|[^\s#]+|#")
_MAX_WORDS: Final = 2000
Pieces = list[tuple[str, bool]]


def diff_words(prediction: str, reference: str) -> tuple[Pieces, Pieces]:
    """Pieces of both texts, each with whether it is missing from the other.

    Args:
        prediction: One text.
        reference: The other.

    Returns:
        Pieces of the prediction and of the reference; joined they are the texts again.

    Example:
        >>> diff_words("밥을 먹었다", "밥을 많이 먹었다")
        ([('밥을 ', False), ('먹었다', False)], [('밥을 ', False), ('많이 ', True), ('먹었다', False)])
    """
    first, second = _words(prediction), _words(reference)
    # Beyond any summary: the matcher's time grows with the square.
    if max(len(first), len(second)) > _MAX_WORDS:
        return [(prediction, False)], [(reference, False)]
    keys = [[word.strip() for word in words] for words in (first, second)]
    matcher = SequenceMatcher(a=keys[0], b=keys[1], autojunk=False)
    marked: tuple[Pieces, Pieces] = ([], [])
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        for pieces, words in ((marked[0], first[start:end]), (marked[1], second[other_start:other_end])):
            if words:
                pieces.append(("".join(words), kind != "equal"))
    return marked


def _words(text: str) -> list[str]:
    """Words with the white space after them."""
    words: list[str] = []
    for piece in _PIECE.findall(text):
        if piece.isspace() and words:
            words[-1] += piece
        else:
            words.append(piece)
    return words


def marked_text(pieces: Pieces, *, name: str) -> Html:
    """Pieces as markup; white space at the end of a marked piece stays outside of the mark.

    Args:
        pieces: From `diff_words`.
        name: `ins` or `del`.

    Example:
        >>> marked_text([("밥을 ", False), ("많이 ", True)], name="ins")
        '밥을 <ins>많이</ins> '
    """
    parts: list[Html] = []
    for text, is_marked in pieces:
        words = text.rstrip() if is_marked else ""
        parts.append(join([element(name, words), text[len(words) :]]) if words else join(text))
    return join(parts)
