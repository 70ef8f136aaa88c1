"""A vocabulary by what its tokens do to the word that is being written.

In: the bytes of every token. Out: for a text, the tokens that would make it go on with a given word. Words are what
white space and line breaks separate; as only whole words are ever looked up, a token that is a piece of a character is
filed like any other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

_SPACES: Final = re.compile(
    b"(?:%s)+" % b"|".join(re.escape(chr(code).encode()) for code in range(0x3001) if chr(code).isspace())
)


def split_words(text: bytes) -> tuple[bytes, ...]:
    """The parts of a UTF-8 text between runs of white space: an empty first or last one stands for white space there.

    Example:
        >>> [part.decode() for part in split_words("가 나 ".encode())]
        ['가', '나', '']
    """
    return tuple(_SPACES.split(text))


class WordPieces:
    """Tokens by the first word that they write.

    Args:
        written: Bytes of every id, from `token_bytes`; empty for what writes nothing.
        eos_token_ids: Ids that end a text; whatever they write, it ends there.

    Attributes:
        closing: Ids that end the running word at once, by white space or by the end of the text, ascending.
        several: Ids that write more than one word, rare as they are.
    """

    def __init__(self, written: Sequence[bytes], *, eos_token_ids: Sequence[int]) -> None:
        self._ending = frozenset(eos_token_ids)
        self._written = [b"" if token in self._ending else text for token, text in enumerate(written)]
        self._parts = list(map(split_words, self._written))
        continuing: dict[bytes, list[int]] = defaultdict(list)
        opening: dict[bytes, list[int]] = defaultdict(list)
        for token, (first, *others) in enumerate(self._parts):
            continuing[first].append(token)
            if others and not first:
                opening[others[0]].append(token)
        # Without default factories, or every word that is asked for would be added.
        self._continuing, self._opening = dict(continuing), dict(opening)
        self.closing = sorted({*self._ending, *(token for tokens in opening.values() for token in tokens)})
        self.several = tuple(token for token, parts in enumerate(self._parts) if sum(map(bool, parts)) > 1)

    def parts(self, token: int) -> tuple[bytes, ...]:
        """What a token adds to the running word, and the words that it begins behind that; see `split_words`."""
        return self._parts[token] if token < len(self._parts) else (b"",)

    def written(self, token: int) -> bytes:
        """Bytes of a token; none of one that ends the text or is beyond the vocabulary."""
        return self._written[token] if token < len(self._written) else b""

    def continuing(self, rest: bytes) -> Sequence[int]:
        """Ids that go on with exactly these bytes, and end there or go on with white space."""
        return self._continuing.get(rest, ())

    def opening(self, word: bytes) -> Sequence[int]:
        """Ids that begin with white space, go on with exactly this word, and end there or go on with white space."""
        return self._opening.get(word, ())
