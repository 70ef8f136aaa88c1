"""What a tokenizer can write of a charset.

In: a tokenizer and the constraint's settings. Out: the characters that no sequence of tokens writes, what the tables
weigh, and a test whether the constraint accepts a text as the tokenizer itself writes it. A vocabulary that falls back
on bytes writes everything; one that does not has `<unk>` for what is missing, and no constraint can mend that.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from kosum_pl.decode import AutomatonConstraint, ConstraintSettings, StaticMaskConstraint, foreign_places
from kosum_pl.decode.constraint.table_cache import load_tables
from kosum_pl.decode.constraint.tables import TokenTables
from kosum_pl.encode import Encoder, summary_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """What a tokenizer makes of a text that the charset allows.

    Attributes:
        is_accepted: Whether the constraint accepts its ids.
        is_rewritten: Whether the ids say another text (`...` for `…`).
    """

    is_accepted: bool
    is_rewritten: bool = False


@dataclass(frozen=True, kw_only=True)
class VocabularyReport:
    """A tokenizer under a constraint.

    Attributes:
        tokenizer: Name of its class.
        num_tokens: Its vocabulary.
        num_allowed: Tokens that are allowed in some state.
        num_states: States of the automaton.
        table_bytes: Size of the tables in memory.
        build_seconds: Time to build the tables.
        load_seconds: Time to load them from the cache.
        unwritable: Characters of the charset that no sequence of tokens writes, in order of code points.
        bound: Characters that are written only together with others: behind a space, or inside of a longer token.
    """

    tokenizer: str
    num_tokens: int
    num_allowed: int
    num_states: int
    table_bytes: int
    build_seconds: float
    load_seconds: float
    unwritable: str
    bound: str

    @property
    def num_syllables(self) -> int:
        """Hangul syllables among `unwritable`."""
        return sum("가" <= char <= "힣" for char in self.unwritable)


class Vocabulary:
    """An encoder's tokenizer under a constraint.

    Attributes:
        report: What is known without any data.

    Raises:
        ValueError: The tokenizer's kind is unknown, or it can write nothing of the charset.
    """

    def __init__(self, encoder: Encoder, settings: ConstraintSettings) -> None:
        self._encoder = encoder
        self._settings = settings
        tables, build_seconds, load_seconds = _timed_tables(encoder, settings)
        self._is_static = settings.kind == "static_mask"
        self._constraint = (
            StaticMaskConstraint(tables, eos_token_ids=encoder.terminator_ids, allow_fragments=settings.allow_fragments)
            if self._is_static
            else AutomatonConstraint(tables, eos_token_ids=encoder.terminator_ids)
        )
        # A terminator that is text as well (a line break) ends the summary instead of being written.
        self._terminators = frozenset(encoder.terminator_ids)
        self._allowed = frozenset(self._constraint.columns.tolist()) - self._terminators
        characters = "".join(map(chr, sorted(settings.character_set.code_points)))
        missing, bound = split_unwritable(characters, {tables.written[token] for token in self._allowed})
        self.report = VocabularyReport(
            tokenizer=type(encoder.tokenizer).__name__,
            num_tokens=len(encoder.tokenizer),
            num_allowed=len(self._allowed),
            num_states=len(tables.following),
            table_bytes=sum(array.nbytes for array in (tables.following, tables.columns, tables.distance)),
            build_seconds=build_seconds,
            load_seconds=load_seconds,
            unwritable=missing,
            bound=bound,
        )

    def write(self, text: str, row_words: Sequence[str] = ()) -> Writing:
        """What becomes of a text of the charset as the tokenizer writes it."""
        ids = self.summary_ids(text)
        return Writing(
            is_accepted=self._accepts(ids, row_words), is_rewritten=self._encoder.decode(ids) != text.strip()
        )

    def _accepts(self, ids: Sequence[int], row_words: Sequence[str]) -> bool:
        if not self._terminators.isdisjoint(ids):
            return False
        if self._is_static:
            added = self._constraint.row_tables(row_words)
            own = set(added.all_tokens.tolist()) if added is not None else set()
            return all(token in self._allowed or token in own for token in ids)
        if not row_words:
            return self._constraint.tables.accepts(ids)
        # What the row's tables accept, without the hundredth of a second that they take to build.
        pieces = [self._constraint.tables.written[token] for token in ids]
        try:
            text = b"".join(pieces).decode()
        except UnicodeDecodeError:
            return False
        charset, literals = self._settings.character_set, self._settings.fixed_literals
        return all(pieces) and not foreign_places(text, charset=charset, literals=literals, row_words=row_words)

    def summary_ids(self, text: str) -> list[int]:
        """Ids (U,) of a summary as it would be trained on, without the terminator."""
        return summary_ids(text, encoder=self._encoder, example_id="charset")[:-1]


def split_unwritable(characters: Iterable[str], pieces: AbstractSet[bytes]) -> tuple[str, str]:
    """Characters that stand in no text the pieces write, and those that stand in one only together with others.

    Any piece may follow any other here: what spells one character leads the automaton from a state between characters
    to another, so that no state forbids it.

    Example:
        >>> split_unwritable("가나느꼈뷁", {piece.encode() for piece in (" ", "가", " 나", "느", "느꼈")})
        ('뷁', '나꼈')
    """
    alone = [char for char in characters if not _is_spelt(char.encode(), pieces)]
    inside = {char for piece in pieces for char in piece.decode(errors="ignore")}
    bound = [char for char in alone if char in inside or _is_spelt(f" {char}".encode(), pieces)]
    lost = set(alone).difference(bound)
    return "".join(char for char in alone if char in lost), "".join(bound)


def _is_spelt(text: bytes, pieces: AbstractSet[bytes]) -> bool:
    is_reached = [True, *(False for _ in text)]
    for end in range(1, len(text) + 1):
        is_reached[end] = any(is_reached[start] and text[start:end] in pieces for start in range(end))
    return is_reached[-1]


def _timed_tables(encoder: Encoder, settings: ConstraintSettings) -> tuple[TokenTables, float, float]:
    """Tables of a tokenizer, seconds to build and seconds to load them; the user's own cache is left as it is."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            start = time.perf_counter()
            tables = load_tables(
                encoder.tokenizer,
                charset=settings.character_set,
                literals=settings.fixed_literals,
                cache_dir=Path(folder),
            )
            seconds.append(time.perf_counter() - start)
    return tables, seconds[0], seconds[1]
