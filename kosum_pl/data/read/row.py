"""One row as a file holds it, before anybody knows what its columns mean.

In: nothing. Out: the values that the format readers hand to `columns.py`, and the one line a user sees for a bad row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

DROP_HINT: Final = ", or set data.on_bad_rows=drop"
"""End of a message about a row that may be left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a row cannot be used.

    Attributes:
        column: The column at fault; None where the whole row is.
        reason: What is wrong, in a few words.
        remedy: What the user can do about it.
    """

    column: str | None = None
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row of a file.

    Attributes:
        row: Number of the row in its file, from 1, the header not counted.
        line: Line of the file where the row starts, from 1; None for a format without lines.
        values: Cells by column name, as the format gives them.
        problem: Why the row could not be parsed; None for a row in order.
    """

    row: int
    line: int | None
    values: Mapping[str, Any]
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStream:
    """An opened file: the names of its columns, and its rows, read as they are asked for."""

    columns: tuple[str, ...]
    rows: Iterator[RawRow]


def place_of(file: str, row: int, line: int | None) -> str:
    """Where a row stands, as an editor can open it.

    Example:
        >>> place_of("train.csv", 87, 1042)
        'train.csv:1042 (row 87)'
    """
    return f"{file} (row {row})" if line is None else f"{file}:{line} (row {row})"


def describe(problem: Problem, place: str) -> str:
    """The line a user sees where `data.on_bad_rows` is `error`.

    Example:
        >>> describe(Problem(column="summary", reason="column 'summary' is empty", remedy="fill it"), "a.csv:3 (row 2)")
        "a.csv:3 (row 2): column 'summary' is empty; fill it, or set data.on_bad_rows=drop"
    """
    return f"{place}: {problem.reason}; {problem.remedy}{DROP_HINT}"
