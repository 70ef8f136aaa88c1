"""Rows longer than their limits: cut, left out of train, or an error.

In: a split's lengths, its limits, and what the config says of long summaries and dialogues. Out: which rows are too
long, lines that say so, and train without them. Only train loses rows: a row of val, test or predict stands in every
score and in the submission, its dialogue truncated; its reference is cut for the loss alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

from kosum_pl.data import DialogueTable
from kosum_pl.encode.limits import TokenLimits
from kosum_pl.encode.table import EncodedTable

OnLongSummary = Literal["cut", "drop", "error"]
OnLongDialogue = Literal["truncate", "drop", "error"]
Part = Literal["dialogue", "summary"]

_MAX_NAMED: Final = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class LongRows:
    """Rows of a split whose dialogue or summary (the `part`) is longer than its limit.

    Attributes:
        limit: In tokens; `option` is its name in the config.
        rows: Their indices, ascending.
        ids: Ids of the first few.
        lengths: Of all rows of the split, in tokens.
    """

    split: str
    part: Part
    limit: int
    option: str
    rows: tuple[int, ...]
    ids: tuple[str, ...]
    lengths: np.ndarray[Any, Any]

    @property
    def is_any(self) -> bool:
        """Whether there are any."""
        return bool(self.rows)

    @property
    def bound(self) -> str:
        """What they are longer than."""
        return f"longer than {self.option}={self.limit}"

    @property
    def named(self) -> str:
        """The first ids, in brackets."""
        return f"({', '.join(self.ids)}{', …' if len(self.ids) < len(self.rows) else ''})"

    @property
    def dropped_line(self) -> str:
        """What to tell where they are left out."""
        num_rows = len(self.rows)
        rows = "row" if num_rows == 1 else "rows"
        return f"{self.split}: {num_rows:,} {rows} dropped: {self.part} {self.bound} {self.named}"


@dataclass(frozen=True, kw_only=True)
class LongRowRules:
    """What becomes of long rows.

    Raises:
        ValueError: An unknown choice.
    """

    on_long_summary: OnLongSummary = "cut"
    on_long_dialogue: OnLongDialogue = "truncate"

    def __post_init__(self) -> None:
        for name, least in (("summary", "cut"), ("dialogue", "truncate")):
            value = getattr(self, f"on_long_{name}")
            if value not in (least, "drop", "error"):
                raise ValueError(f"data.on_long_{name} is '{value}'; known: {least}, drop, error")

    @property
    def is_dropping(self) -> bool:
        """Whether train may lose rows."""
        return "drop" in (self.on_long_summary, self.on_long_dialogue)

    def drop(
        self, table: DialogueTable, encoded: EncodedTable, *, limits: TokenLimits
    ) -> tuple[DialogueTable, EncodedTable, list[LongRows]]:
        """Train without its long rows, and who they are; a row that is long twice counts once, by its summary.

        Raises:
            ValueError: No row is left.
        """
        found: list[LongRows] = []
        reasons: dict[int, str] = {}
        for long in long_rows(encoded, split="train", limits=limits):
            if long.is_any and self._choice(long) == "drop":
                rows = tuple(row for row in long.rows if row not in reasons)
                reasons |= dict.fromkeys(rows, f"{long.part} {long.bound}")
                ids = tuple(encoded[row].example_id for row in rows[:_MAX_NAMED])
                found += [replace(long, rows=rows, ids=ids)] if rows else []
        if not reasons:
            return table, encoded, []
        if len(reasons) == len(table):
            raise ValueError(
                f"train: all {len(table):,} rows are dropped: {' or '.join(dict.fromkeys(reasons.values()))}; raise it"
            )
        kept = np.delete(np.arange(len(table)), sorted(reasons))
        return table.without(reasons), encoded.select(kept), found

    def check(self, encoded: EncodedTable, *, split: str, limits: TokenLimits) -> list[str]:
        """Lines on a split's long rows that stay although long rows are to be dropped.

        Raises:
            ValueError: There are long rows, and the config calls that an error.
        """
        lines = []
        for long in long_rows(encoded, split=split, limits=limits):
            choice = self._choice(long)
            parts = "dialogues" if long.part == "dialogue" else "summaries"
            if long.is_any and choice == "error":
                least = "truncate" if long.part == "dialogue" else "cut"
                raise ValueError(
                    f"{split}: {len(long.rows):,} of {len(encoded):,} {parts} are {long.bound} {long.named}; raise it "
                    f"(the longest has {long.lengths.max():,}), or set data.on_long_{long.part} to {least} or drop"
                )
            if long.is_any and choice == "drop":
                fate = "truncated" if long.part == "dialogue" else "cut, which matters for the loss alone"
                noun, verb = (long.part, "is") if len(long.rows) == 1 else (parts, "are")
                lines.append(f"{split}: {len(long.rows):,} {noun} {long.bound} {verb} {fate}; only train drops rows")
        return lines

    def _choice(self, long: LongRows) -> str:
        return self.on_long_summary if long.part == "summary" else self.on_long_dialogue


def long_rows(encoded: EncodedTable, *, split: str, limits: TokenLimits) -> Iterator[LongRows]:
    """A split's rows with a long summary, and those with a long dialogue; of each perhaps none."""
    parts: tuple[tuple[Part, int, str, np.ndarray[Any, Any]], ...] = (
        ("summary", limits.max_summary_tokens, "data.max_summary_tokens", encoded.summary_lengths),
        ("dialogue", limits.max_source_tokens, "data.max_source_tokens", encoded.source_lengths),
    )
    for part, limit, option, lengths in parts:
        rows = tuple(np.flatnonzero(lengths > limit).tolist())
        ids = tuple(encoded[row].example_id for row in rows[:_MAX_NAMED])
        yield LongRows(split=split, part=part, limit=limit, option=option, rows=rows, ids=ids, lengths=lengths)
