"""Strings that may stand in a summary though their characters are not in the charset.

In: a dialogue and a charset. Out: its *row literals*, and for any text the characters that nothing allows.
*Fixed* literals (tags) are allowed everywhere; row literals in the summary of their own dialogue, as whole words and
exactly as written there. The automaton accepts a text if and only if `foreign_places` finds nothing in it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from kosum_pl.types import TAG_PATTERN

DEFAULT_LITERALS: Final = (
    *(f"#Person{number}#" for number in range(1, 8)),
    *(f"#{name}#" for name in ("PhoneNumber", "Address", "DateOfBirth", "PassportNumber")),
    *(f"#{name}#" for name in ("SSN", "CardNumber", "CarNumber", "Email")),
)
"""Speakers and masked values."""

CONNECTORS: Final = frozenset("-.'’_&+@,:")
"""Marks that join two parts of a word or number: `Wi-Fi`, `U.S`, `1,000km`."""
_CONNECT_DIGITS_ONLY: Final = frozenset(",:")
_MAX_BYTES: Final = 96
BROKEN_CATEGORIES: Final = ("Cc", "Cf", "Cs", "Co", "Cn")
"""Control and format characters, surrogates, private use, unassigned: never in a summary, even from a dialogue."""


class CharacterSet(Protocol):
    """The part of `Charset` that is asked here."""

    def __contains__(self, char: object) -> bool:
        """Whether a character may stand in any summary."""


def is_word_character(char: str) -> bool:
    """Whether a character runs on into a Latin word or number beside it: letters and digits but Hangul.

    Example:
        >>> [is_word_character(char) for char in "가K5-"]
        [False, True, True, False]
    """
    return char.isalnum() and not ("가" <= char <= "힣" or "ㄱ" <= char <= "ㅣ")


def row_literals(text: str, charset: CharacterSet) -> tuple[str, ...]:
    """Words of a dialogue that hold a character outside the charset, in order of their first use.

    A word is a run of letters, digits and signs (Hangul and the charset's marks end it) with single connectors
    between them. Tags are no words. Broken characters, and words of more than 96 bytes, allow nothing.

    Args:
        text: A dialogue.
        charset: Characters that are allowed in every row.

    Returns:
        Different words, NFC.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> row_literals("#Person1#: KTX로 가서 Jimmy랑 5km 걷자. U.S. 3시 Wi-Fi!", Charset())
        ('KTX', 'Jimmy', '5km', 'U.S', 'Wi-Fi')
    """
    normal = TAG_PATTERN.sub(" ", unicodedata.normalize("NFC", text))
    words = []
    start = 0
    while start < len(normal):
        end = _word_end(normal, start, charset)
        word = normal[start:end]
        if any(char not in charset for char in word) and len(word.encode()) <= _MAX_BYTES:
            words.append(word)
        start = max(end, start + 1)
    return tuple(dict.fromkeys(words))


def _word_end(text: str, start: int, charset: CharacterSet) -> int:
    """End of the word that begins at `start`; `start` itself where none does."""

    def is_part(index: int) -> bool:
        return index < len(text) and _is_sound(text[index]) and continues_word(text[index], charset)

    end = start
    while is_part(end) or (end > start and is_part(end + 1) and _connects(text[end - 1 : end + 2])):
        end += 1
    return end


def _connects(three: str) -> bool:
    mark = three[1]
    return mark in CONNECTORS and (mark not in _CONNECT_DIGITS_ONLY or (three[0].isdecimal() and three[2].isdecimal()))


@lru_cache(maxsize=65536)
def _is_sound(char: str) -> bool:
    is_jamo = "\u1100" <= char <= "\u11ff" or "\ua960" <= char <= "\ua97f" or "\ud7b0" <= char <= "\ud7ff"
    return (
        not is_jamo and char != "\ufffd" and unicodedata.category(char) not in BROKEN_CATEGORIES and not char.isspace()
    )


def starts_word(text: str, index: int, charset: CharacterSet) -> bool:
    """Whether a row literal may start here: not behind a letter, a digit, a sign, nor one of these and a connector.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> [starts_word(text, len(text), Charset()) for text in ("", "가", "3", "3.", "3. ", "(")]
        [True, True, False, False, True, True]
    """
    if index and continues_word(text[index - 1], charset):
        return False
    return index < 2 or text[index - 1] not in CONNECTORS or not continues_word(text[index - 2], charset)


def ends_word(text: str, index: int, charset: CharacterSet) -> bool:
    """Whether a row literal may end before this index: no letter, digit or sign goes on.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> [ends_word(text, 0, Charset()) for text in ("", "가", "3", "k", ".")]
        [True, True, False, False, True]
    """
    return index >= len(text) or not continues_word(text[index], charset)


def continues_word(char: str, charset: CharacterSet) -> bool:
    """Whether a word runs on with a character: a letter, a digit, or one outside the charset."""
    return is_word_character(char) or char not in charset


def foreign_places(
    text: str, *, charset: CharacterSet, literals: Sequence[str] = (), row_words: Sequence[str] = ()
) -> list[int]:
    """Indices of the characters that neither the charset nor a literal allows, as few as any reading leaves.

    Args:
        text: A summary, taken as it is: decomposed Hangul is foreign.
        charset: Characters that are allowed in every row.
        literals: Allowed everywhere.
        row_words: The row's own literals: allowed as whole words.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> text = "#Person1#은 KTX와 bus를 會議에서 탄다."
        >>> "".join(text[i] for i in foreign_places(text, charset=Charset(), literals=["#Person1#"], row_words=["KTX"]))
        'bus會議'
    """
    if all(char in charset for char in text):
        return []
    words = [word for word in row_words if word and word in text]
    fixed = [literal for literal in literals if literal and literal in text]

    ends = _occurrences(text, fixed)
    for end, starts in _occurrences(text, words).items():
        whole = [start for start in starts if starts_word(text, start, charset) and ends_word(text, end, charset)]
        ends.setdefault(end, []).extend(whole)
    # The cheapest reading of every prefix: how many foreign characters, and where its last piece starts.
    costs, begins = [0], [0]
    for end in range(1, len(text) + 1):
        is_foreign = text[end - 1] not in charset
        cost, begin = costs[-1] + is_foreign, end - 1
        for start in ends.get(end, ()):
            if costs[start] < cost:
                cost, begin = costs[start], start
        costs.append(cost)
        begins.append(begin)
    indices = []
    end = len(text)
    while end:
        start = begins[end]
        if costs[end] > costs[start]:
            indices.append(start)
        end = start
    return indices[::-1]


def _occurrences(text: str, words: Sequence[str]) -> dict[int, list[int]]:
    """End to starts of everything in a text that is one of the words."""
    found: dict[int, list[int]] = {}
    for word in words:
        start = text.find(word)
        while start >= 0:
            found.setdefault(start + len(word), []).append(start)
            start = text.find(word, start + 1)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedText:
    """What one row's summary may hold: every step after generation and every check of it asks the same question.

    Attributes:
        dialogue: The dialogue's text.
        charset: Characters that are allowed in every row.
        literals: Allowed in every row.
        row_words: Words of the dialogue that hold a character outside the charset.
        tags: Tags of the dialogue, each once. They are allowed even where `literals` lacks them: a tag without its
            letters (`##`) would serve nobody.
        is_finished: Whether the model ended the summary by itself, where there is one.
    """

    dialogue: str
    charset: CharacterSet
    literals: tuple[str, ...]
    row_words: tuple[str, ...]
    tags: tuple[str, ...]
    is_finished: bool = True

    def foreign_places(self, text: str) -> list[int]:
        """Indices of the characters in a text that nothing allows."""
        literals = (*self.literals, *self.tags)
        return foreign_places(text, charset=self.charset, literals=literals, row_words=self.row_words)


def allowed_text(
    dialogue: str, *, charset: CharacterSet, literals: Sequence[str], is_finished: bool = True
) -> AllowedText:
    """What the summary of a dialogue may hold.

    Example:
        >>> from kosum_pl.decode.charset import Charset
        >>> allowed = allowed_text("#Person1#: KTX 타자. #Order1# 있어?", charset=Charset(), literals=("#Person1#",))
        >>> allowed.row_words, allowed.tags, allowed.foreign_places("#Order1#로 KTX를 탄다 bye")
        (('KTX',), ('#Person1#', '#Order1#'), [18, 19, 20])
    """
    return AllowedText(
        dialogue=dialogue,
        charset=charset,
        literals=tuple(literals),
        row_words=row_literals(dialogue, charset),
        tags=tuple(dict.fromkeys(TAG_PATTERN.findall(dialogue))),
        is_finished=is_finished,
    )
