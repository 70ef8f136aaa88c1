"""One row as a file holds it, and what a reader of a file format has to give.

In: nothing. Out: the values that readers hand to `parse.py`, and the one line a user sees for a bad row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

DROP_HINT: Final = ", or set data.on_bad_rows=drop"
"""End of a message about a row that may be left out."""


class RowError(Exception):
    """Why a row cannot be used.

    Args:
        column: The column at fault; None where the whole row is.
    """

    def __init__(self, reason: str, remedy: str, *, column: str | None = None) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy
        self.column = column

    def line(self, location: str) -> str:
        """What a user sees where `data.on_bad_rows` is `error`.

        Example:
            >>> RowError("column 'summary' is empty", "fill it", column="summary").line("a.csv:3 (row 2)")
            "a.csv:3 (row 2): column 'summary' is empty; fill it, or set data.on_bad_rows=drop"
        """
        return f"{location}: {self}{DROP_HINT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row of a file.

    Attributes:
        values: Cells by column name, as the format gives them: text, numbers, lists, objects, None.
        line: Line of the file where the row starts, from 1; None for a format without lines.
        error: Why the row could not be parsed; `values` is then what is known of it.
    """

    values: Mapping[str, Any]
    line: int | None = None
    error: RowError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowStream:
    """An opened file.

    Attributes:
        rows: Its rows, read as they are asked for.
        columns: Names of its columns, where a header tells them; None: those of the first hundred rows.
    """

    rows: Iterable[RawRow]
    columns: tuple[str, ...] | None = None


class DataReader(Protocol):
    """Reads a file format: a function from a path to rows.

    A name in `kosum_pl.data.read.formats.READERS` makes it known: by this name as an ending of files, or as
    `{path: ..., format: name}` in a data argument. Rows should be yielded one by one, so that memory does not grow with
    the file. A row that cannot be parsed is yielded with its `error`; `ValueError` is for a file that is useless as a
    whole.

    Example:
        >>> def read_text(path: Path) -> RowStream:
        ...     lines = enumerate(path.open(encoding="utf-8"), start=1)
        ...     return RowStream(rows=(RawRow(values={"dialogue": text}, line=line) for line, text in lines))
    """

    def __call__(self, path: Path, /) -> RowStream:
        """The rows of a file, lazily."""
        ...


def locate(file: str, row: int, line: int | None) -> str:
    """Where a row stands, as an editor can open it.

    Example:
        >>> locate("train.csv", 87, 1042)
        'train.csv:1042 (row 87)'
    """
    return f"{file} (row {row})" if line is None else f"{file}:{line} (row {row})"
