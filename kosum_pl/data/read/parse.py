"""A raw row → a `Dialogue`, or the reason why it is none.

In: one row of any format. Out: a `Dialogue` with cleaned text, or a `RowError`. This is where an empty cell and a wrong
value get their wording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kosum_pl.data.read.cell import as_conversation, as_messages, as_slots, as_text, as_texts, find_cell
from kosum_pl.data.read.columns import Columns, ExistingColumns
from kosum_pl.data.read.row import RawRow, RowError
from kosum_pl.types import Dialogue, Message, profile_text

_T = TypeVar("_T")
_Chat = tuple[tuple[Message, ...], str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowParser:
    """Reads the rows of one file; a row without a reference is a bad one where it `needs_summary`."""

    columns: Columns
    existing: ExistingColumns
    needs_summary: bool
    clean: Callable[[str], str]

    def parse(self, raw: RawRow, *, default_id: str) -> Dialogue:
        """The row as a dialogue, or a `RowError`; its id is `default_id` where the config names no column for it."""
        if raw.error:
            raise raw.error
        values, id_column = raw.values, self.columns.example_id
        example_id = default_id
        if id_column is not None:
            example_id = _read(values, id_column, as_text).strip()
            _require(example_id, id_column, "give every row an id")
        messages: tuple[Message, ...] = ()
        if self.columns.messages:
            messages, text, references = self._chat(values, self.columns.messages)
        else:
            text, references = self._text(values), self._references(values)
        profile = {
            name: value
            for name in self.existing.profile
            if (value := _read(values, name, lambda cell: profile_text(as_text(cell))))
        }
        slots = _read(values, self.existing.slots, as_slots) if self.existing.slots else ()
        return Dialogue(
            example_id=example_id, text=text, references=references, profile=profile, slots=slots, messages=messages
        )

    def _text(self, values: Mapping[str, Any]) -> str:
        if column := self.columns.conversation:
            text = _read(values, column, lambda cell: as_conversation(cell, self.clean))
        else:
            column = self.columns.dialogue
            text = self.clean(_read(values, column, as_text))
        _require(text, column, "fill it")
        return text

    def _references(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        columns = self.existing.summaries
        cells = (text for column in columns for text in _read(values, column, as_texts))
        references = tuple(text for text in map(self.clean, cells) if text.strip())
        if self.needs_summary and not references:
            names = "' and '".join(columns)
            reason = f"column '{names}' is empty" if len(columns) == 1 else f"columns '{names}' are all empty"
            raise RowError(reason, "fill it", column=columns[0])
        return references

    def _chat(self, values: Mapping[str, Any], column: str) -> _Chat:
        messages = _read(values, column, lambda cell: as_messages(cell, self.clean))
        text = next((message.content for message in reversed(messages) if message.role == "user"), "")
        if not text.strip():
            raise RowError(f"column '{column}' has no user message", "add one with the dialogue", column=column)
        last = messages[-1]
        references = (last.content,) if last.role == "assistant" and last.content.strip() else ()
        if self.needs_summary and not references:
            reason = f"column '{column}' does not end with an assistant message"
            raise RowError(reason, "end it with the summary", column=column)
        return messages, text, references


def _read(values: Mapping[str, Any], column: str, convert: Callable[[Any], _T]) -> _T:
    try:
        return convert(find_cell(values, column))
    except RowError as error:
        raise RowError(f"column '{column}' {error.reason}", error.remedy, column=column) from None


def _require(text: str, column: str, remedy: str) -> None:
    if not text.strip():
        raise RowError(f"column '{column}' is empty", remedy, column=column)
