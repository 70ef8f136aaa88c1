"""Constraints on what may be generated: exact, and two simpler ones that users know.

In: token tables, and the words of each row of a batch. Out: for that batch a logits processor and the ids that it may
ever allow. `AutomatonConstraint` is exact. `StaticMaskConstraint` is one list of tokens: it loses syllables or leaks,
and shows by how much. `PrefixFunctionConstraint` is the automaton behind `prefix_allowed_tokens_fn`: exact and slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, PrefixConstrainedLogitsProcessor

from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.processors import (
    AllowedColumns,
    AutomatonProcessor,
    GenerationShape,
    StaticMaskProcessor,
)
from kosum_pl.decode.constraint.row_tables import RowTables, RowTablesBuilder, VocabularyIndex
from kosum_pl.decode.constraint.tables import UNREACHABLE, TokenTables
from kosum_pl.decode.constraint.tracker import ENDED, StateTracker

_CACHED_ROWS = 2048


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchConstraint:
    """A constraint for the rows of one batch and one `generate` call.

    `processor` goes into `logits_processor`; `columns` are the ids that the batch may ever be allowed.
    """

    processor: LogitsProcessor
    columns: AllowedColumns
    tracker: StateTracker


class Constraint(Protocol):
    """A rule on what may be generated; one object serves many batches."""

    name: ClassVar[str]
    tables: TokenTables

    def for_rows(self, row_words: Sequence[Sequence[str]], shape: GenerationShape) -> BatchConstraint:
        """The constraint of one batch.

        Args:
            row_words: By row, strings outside the charset that are allowed in it: `row_literals` of its dialogue.
            shape: The call of `generate`.

        Raises:
            ValueError: The shape has limits by row, and not one for each row.
        """


class AutomatonConstraint:
    """The exact constraint: text of the charset, literals and the row's own words, and nothing else.

    Args:
        tables: From `build_tables`.
        eos_token_ids: Terminators, allowed between characters.

    Raises:
        ValueError: There is no terminator.
    """

    name: ClassVar[str] = "automaton"

    def __init__(self, tables: TokenTables, *, eos_token_ids: Sequence[int]) -> None:
        if not eos_token_ids:
            raise ValueError("a constraint needs the ids that end a text; give eos_token_ids")
        self.tables = tables
        self.eos_token_ids = tuple(dict.fromkeys(eos_token_ids))
        # A terminator may be text as well (a line break): here it is the terminator.
        self.columns = np.union1d(tables.columns, np.array(self.eos_token_ids, dtype=np.int64))
        self._row_tables = lru_cache(maxsize=_CACHED_ROWS)(self._build_row_tables)

    @cached_property
    def vocabulary(self) -> VocabularyIndex:
        """The vocabulary in byte order; a second, at the first row that has words."""
        return VocabularyIndex(self.tables)

    def _build_row_tables(self, words: tuple[str, ...]) -> RowTables:
        return RowTablesBuilder(self.vocabulary, words).build()

    def row_tables(self, words: Sequence[str]) -> RowTables | None:
        """What a row's words add; None for a row without words."""
        return self._row_tables(tuple(sorted(set(words)))) if words else None

    def tracker(self, row_words: Sequence[Sequence[str]], *, prompt_length: int) -> StateTracker:
        """States of a batch's sequences, by the words of each row and the length of the prompt."""
        rows = [self.row_tables(words) for words in row_words]
        return StateTracker(self.tables, eos_token_ids=self.eos_token_ids, rows=rows, prompt_length=prompt_length)

    def for_rows(self, row_words: Sequence[Sequence[str]], shape: GenerationShape) -> BatchConstraint:
        """The constraint of one batch, as `Constraint` has it."""
        limits = shape.max_new_tokens
        if not isinstance(limits, int) and len(limits) != len(row_words):
            raise ValueError(f"max_new_tokens has {len(limits)} limits for {len(row_words)} rows; give one a row")
        tracker = self.tracker(row_words, prompt_length=shape.prompt_length)
        columns = ever_allowed(self.columns, tracker.rows)
        processor = self._processor(tracker, columns, shape)
        return BatchConstraint(processor=processor, columns=columns, tracker=tracker)

    def _processor(self, tracker: StateTracker, columns: AllowedColumns, shape: GenerationShape) -> LogitsProcessor:
        """What keeps a batch's scores to this constraint."""
        cost = self.cost(columns.ids.numpy())
        return AutomatonProcessor(tracker, columns=columns, cost=cost, shape=shape)

    def cost(self, columns: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Tokens that must follow each column, (Q + 2, C): by common state, inside a row's word, behind the end."""
        tables = self.tables
        cost = np.full((len(tables.distance) + 2, len(columns)), UNREACHABLE, dtype=np.uint8)
        cost[:-2, np.searchsorted(columns, tables.columns)] = tables.cost
        ending = np.searchsorted(columns, self.eos_token_ids)
        cost[:-2, ending] = np.where(tables.automaton.is_accepting, 0, UNREACHABLE)[:, None]
        # A finished row is asked as well, and must not be empty.
        cost[-1, ending] = 0
        return cost


class _RowsPrefixProcessor(PrefixConstrainedLogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """Asks with the row of a sequence, also where sampling draws several sequences of each row."""

    def __init__(self, allowed: Callable[[int, Tensor], list[int]], *, num_rows: int) -> None:
        super().__init__(allowed, num_beams=1)
        self.num_rows = num_rows

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        self._num_beams = len(input_ids) // self.num_rows
        kept: Tensor = super().__call__(input_ids, scores)
        return kept


class PrefixFunctionConstraint(AutomatonConstraint):
    """The automaton as a `prefix_allowed_tokens_fn`: a list of ids for each sequence and step."""

    name: ClassVar[str] = "prefix_function"

    def _processor(self, tracker: StateTracker, columns: AllowedColumns, shape: GenerationShape) -> LogitsProcessor:
        cost = self.cost(self.columns)

        def allowed(row: int, input_ids: Tensor) -> list[int]:
            """Ids that may follow those of one sequence, (T,)."""
            generated = input_ids[shape.prompt_length :].tolist()
            if shape.has_forced_bos and not generated:
                return list(range(len(self.tables.written)))
            state = tracker.fold(generated, row=row)
            common = tracker.common_state(state, row=row)
            left = shape.tokens_left(len(generated), row=row)
            index = {ENDED: -1, DEAD: -2}.get(common, common)
            tokens: list[int] = self.columns[cost[index] <= left].tolist()
            added = tracker.rows[row]
            if added is not None and state in added.tokens:
                tokens += added.tokens[state][added.cost[state] <= left].tolist()
            return tokens

        return _RowsPrefixProcessor(allowed, num_rows=len(tracker.rows))


class StaticMaskConstraint(AutomatonConstraint):
    """One list of allowed tokens for all steps; a row's words allow every token that is a part of one.

    With `allow_fragments` also tokens that are pieces of a character: any script can be written with them, and most
    rare syllables not without.
    """

    name: ClassVar[str] = "static_mask"

    def __init__(self, tables: TokenTables, *, eos_token_ids: Sequence[int], allow_fragments: bool = False) -> None:
        super().__init__(tables, eos_token_ids=eos_token_ids)
        if not allow_fragments:
            behind = tables.following[tables.automaton.start]
            is_whole = np.append(tables.automaton.is_accepting, False)[behind]
            self.columns = np.union1d(tables.columns[is_whole], np.array(self.eos_token_ids, dtype=np.int64))

    def _processor(self, tracker: StateTracker, columns: AllowedColumns, shape: GenerationShape) -> LogitsProcessor:
        return StaticMaskProcessor(columns, shape=shape)


def ever_allowed(common: NDArray[np.int64], rows: Sequence[RowTables | None]) -> AllowedColumns:
    """Ids that some row of a batch may ever be allowed: `common` to every row, and what each row adds."""
    added = [row.all_tokens if row is not None else np.zeros(0, dtype=np.int64) for row in rows]
    columns = np.unique(np.concatenate([common, *added]))
    if len(columns) == len(common):
        return AllowedColumns(ids=torch.from_numpy(columns), is_denied=None)
    is_denied = np.broadcast_to(~np.isin(columns, common), (len(rows), len(columns))).copy()
    for row, tokens in enumerate(added):
        is_denied[row, np.searchsorted(columns, tokens)] = False
    return AllowedColumns(ids=torch.from_numpy(columns), is_denied=torch.from_numpy(is_denied))
