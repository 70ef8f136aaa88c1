"""A raw row → the fields of a `Dialogue`, or the reason why it is none.

In: one row of any format. Out: a `Parsed` row with cleaned text, or a `Problem`. This is where an empty cell and a
wrong value get their wording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kosum_pl.data.read.cell import CellError, as_profile, as_slots, as_text, as_texts, find_cell
from kosum_pl.data.read.columns import Columns, ExistingColumns
from kosum_pl.data.read.conversation import read_messages, render_conversation
from kosum_pl.data.read.row import Problem, RawRow
from kosum_pl.types import Message

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What one row says; the fields are those of `Dialogue`."""

    example_id: str
    text: str
    references: tuple[str, ...]
    profile: Mapping[str, str]
    slots: tuple[str, ...]
    messages: tuple[Message, ...]


class _BadRowError(Exception):
    """Carries a problem out of the functions that read a row's cells."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class RowParser:
    """Reads the rows of one file.

    Attributes:
        columns: The user's names.
        existing: What the file has of the columns that may be absent.
        needs_summary: Whether a row without a reference is a bad row.
        clean: Cleaning of dialogues and summaries.
    """

    columns: Columns
    existing: ExistingColumns
    needs_summary: bool
    clean: Callable[[str], str]

    def parse(self, raw: RawRow, *, default_id: str) -> Parsed | Problem:
        """The row's fields, or what is wrong with it.

        Args:
            raw: The row.
            default_id: The id where the config names no column for it.
        """
        if raw.problem:
            return raw.problem
        try:
            return self._parse(raw.values, default_id)
        except _BadRowError as error:
            return error.problem

    def _parse(self, values: Mapping[str, Any], default_id: str) -> Parsed:
        id_column = self.columns.example_id
        example_id = default_id
        if id_column is not None:
            example_id = _read(values, id_column, as_text).strip()
            _require(example_id, id_column, "give every row an id")
        messages: tuple[Message, ...] = ()
        if self.columns.messages:
            messages, text, references = self._parse_messages(values, self.columns.messages)
        else:
            text, references = self._parse_dialogue(values), self._parse_references(values)
        profile = {name: value for name in self.existing.profile if (value := _read(values, name, as_profile))}
        slots = _read(values, self.existing.slots, as_slots) if self.existing.slots else ()
        return Parsed(
            example_id=example_id, text=text, references=references, profile=profile, slots=slots, messages=messages
        )

    def _parse_dialogue(self, values: Mapping[str, Any]) -> str:
        if column := self.columns.conversation:
            text = _read(values, column, lambda cell: render_conversation(cell, self.clean))
        else:
            column = self.columns.dialogue
            text = self.clean(_read(values, column, as_text))
        _require(text, column, "fill it")
        return text

    def _parse_references(self, values: Mapping[str, Any]) -> tuple[str, ...]:
        cells = (text for column in self.existing.summaries for text in _read(values, column, as_texts))
        references = tuple(text for text in map(self.clean, cells) if text.strip())
        if self.needs_summary and not references:
            names = "' and '".join(self.existing.summaries)
            reason = (
                f"column '{names}' is empty"
                if len(self.existing.summaries) == 1
                else f"columns '{names}' are all empty"
            )
            raise _BadRowError(Problem(column=self.existing.summaries[0], reason=reason, remedy="fill it"))
        return references

    def _parse_messages(
        self, values: Mapping[str, Any], column: str
    ) -> tuple[tuple[Message, ...], str, tuple[str, ...]]:
        messages = _read(values, column, lambda cell: read_messages(cell, self.clean))
        text = next((message.content for message in reversed(messages) if message.role == "user"), "")
        if not text.strip():
            raise _BadRowError(
                Problem(
                    column=column, reason=f"column '{column}' has no user message", remedy="add one with the dialogue"
                )
            )
        last = messages[-1]
        references = (last.content,) if last.role == "assistant" and last.content.strip() else ()
        if self.needs_summary and not references:
            reason = f"column '{column}' does not end with an assistant message"
            raise _BadRowError(Problem(column=column, reason=reason, remedy="end it with the summary"))
        return messages, text, references


def _read(values: Mapping[str, Any], column: str, convert: Callable[[Any], _T]) -> _T:
    try:
        return convert(find_cell(values, column))
    except CellError as error:
        problem = Problem(column=column, reason=f"column '{column}' {error.reason}", remedy=error.remedy)
        raise _BadRowError(problem) from None


def _require(text: str, column: str, remedy: str) -> None:
    if not text.strip():
        raise _BadRowError(Problem(column=column, reason=f"column '{column}' is empty", remedy=remedy))
