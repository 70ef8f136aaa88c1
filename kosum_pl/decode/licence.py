"""`RowLicence`: what one row's summary may hold.

In: a dialogue, a charset and the fixed literals. Out: the row's own words and tags beside them, put together once, so
that every step after generation and every check of it asks the same question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kosum_pl.decode.literals import CharacterSet, foreign_places, row_literals
from kosum_pl.types import TAG_PATTERN


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLicence:
    """Charset and literals of one row.

    Attributes:
        dialogue: The dialogue's text.
        charset: Characters that need no licence.
        literals: Licensed in every row.
        row_words: Words of the dialogue that hold a character outside the charset.
        tags: Tags of the dialogue, each once. They are licensed even where `literals` lacks them: a tag without its
            letters (`##`) would serve nobody.
    """

    dialogue: str
    charset: CharacterSet
    literals: tuple[str, ...]
    row_words: tuple[str, ...]
    tags: tuple[str, ...]

    def foreign_places(self, text: str) -> list[int]:
        """Places of the characters in a text that nothing licenses."""
        return foreign_places(
            text, charset=self.charset, literals=(*self.literals, *self.tags), row_words=self.row_words
        )


def row_licence(dialogue: str, *, charset: CharacterSet, literals: Sequence[str]) -> RowLicence:
    """The licence that a dialogue gives its summary.

    Args:
        dialogue: The dialogue's text.
        charset: Characters that need no licence.
        literals: Licensed in every row.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> licence = row_licence("#Person1#: KTX 타자. #Order1# 있어?", charset=Charset(), literals=("#Person1#",))
        >>> licence.row_words, licence.tags, licence.foreign_places("#Order1#로 KTX를 탄다 bye")
        (('KTX',), ('#Person1#', '#Order1#'), [18, 19, 20])
    """
    return RowLicence(
        dialogue=dialogue,
        charset=charset,
        literals=tuple(literals),
        row_words=row_literals(dialogue, charset),
        tags=tuple(dict.fromkeys(TAG_PATTERN.findall(dialogue))),
    )
