"""`TextQuality`: are summaries written in Hangul, and are they whole characters?

In: predictions. Out: `hangul_ratio` and `broken_rate`, both 0-1. They ask no dialogue and no charset, so they show
what a generous charset or a wrong list of literals would hide.
"""

from __future__ import annotations

from typing import Final

import regex

from kosum_pl.metrics.row_metric import Pair
from kosum_pl.types import TAG_PATTERN, Prediction

_LETTER: Final = regex.compile(r"\p{L}")
_HANGUL_LETTER: Final = regex.compile(r"(?=\p{L})\p{Script=Hangul}")
# U+FFFD, lone surrogates, and the three blocks of conjoining jamo.
_BROKEN: Final = regex.compile(
    r"[\uFFFD\p{Cs}\p{Block=Hangul_Jamo}\p{Block=Hangul_Jamo_Extended_A}\p{Block=Hangul_Jamo_Extended_B}]"
)


def hangul_letters(text: str) -> tuple[int, int]:
    """Numbers of Hangul letters and of all letters, without those of tags.

    Example:
        >>> hangul_letters("#Person1#은 KTX를 3시에 탄다.")
        (6, 9)
    """
    words = TAG_PATTERN.sub(" ", text)
    return len(_HANGUL_LETTER.findall(words)), len(_LETTER.findall(words))


def is_broken(text: str) -> bool:
    r"""Whether a text holds U+FFFD, a lone surrogate or a conjoining jamo, the traces of cut or decomposed characters.

    Example:
        >>> [is_broken(text) for text in ("비가 온다 ㅋㅋ", "비가 \ufffd온다", "\u1112\u1161\u11ab글")]
        [False, True, True]
    """
    return _BROKEN.search(text) is not None


class TextQuality:
    """Hangul and broken characters as a `RowMetric`.

    `hangul_ratio` are the Hangul letters among all letters of all predictions together, without those of tags;
    `broken_rate` is the share of rows with a broken character.
    """

    names = ("hangul_ratio", "broken_rate")

    def row_values(self, prediction: Prediction) -> list[Pair]:
        """Counts of one row."""
        return [hangul_letters(prediction.text), (is_broken(prediction.text), 1)]
