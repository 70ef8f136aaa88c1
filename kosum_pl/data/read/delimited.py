"""CSV and TSV → rows with their line numbers.

In: a path. Out: a `RowStream`. `datasets`' own reader gives neither line numbers nor a reason a user could act on, and
guesses types; here every cell stays text, and a row whose number of fields is wrong is a bad row, not a shifted one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kosum_pl.data.read.encoding import describe_bad_byte, guess_encoding, is_utf8, open_text
from kosum_pl.data.read.row import Problem, RawRow, RowStream

_MAX_FIELD_CHARACTERS: Final = 1 << 24
_OTHER_DELIMITERS: Final = {";": "a semicolon", "\t": "a tab", "|": "a bar", ",": "a comma"}
_SAVE_REMEDY: Final = "save it as UTF-8 (in Excel: 'CSV UTF-8')"


def open_delimited(path: Path, *, delimiter: str) -> RowStream:
    """Opens a CSV or TSV file whose first line is a header.

    Args:
        path: The file; UTF-8, with or without a byte order mark, quoted fields may hold line breaks.
        delimiter: `,` or a tab.

    Raises:
        ValueError: The header cannot be used: not UTF-8, a name twice, another delimiter.
    """
    # The module's default of 131,072 characters is less than a long meeting; the setting is the whole process's.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD_CHARACTERS))
    records = _records(path, delimiter)
    _, header, problem = next(
        ((line, cells, problem) for line, cells, problem in records if cells or problem), (1, [], None)
    )
    if problem:
        raise ValueError(f"{path}:1: the header cannot be read: {problem}; put names with quotes in double quotes")
    if not header:
        raise ValueError(f"{path}: the file is empty; write a header and rows into it")
    _check_header(path, header, delimiter)
    return RowStream(columns=tuple(header), rows=_rows(path, header, records))


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Start line, cells and parser's complaint of each record."""
    with open_text(path) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Where a quote is never closed, nobody can tell where the next row begins: dropping one row would
                # drop the rest of the file unseen.
                if "end of data" in str(error) or "field limit" in str(error):
                    raise ValueError(
                        f"{path}:{line}: a double quote opens a field here that is never closed; close it, and write a "
                        "quote inside a quoted field twice"
                    ) from None
                yield line, [], str(error)
                continue
            yield line, cells, None


def _check_header(path: Path, header: list[str], delimiter: str) -> None:
    names = delimiter.join(header)
    if not is_utf8(names):
        raise ValueError(f"{path}:1: the header is {describe_bad_byte(path, names)}; {_SAVE_REMEDY}")
    twice = next((name for i, name in enumerate(header) if name and name in header[:i]), None)
    if twice is not None:
        raise ValueError(f"{path}:1: the header names column '{twice}' twice; rename one of the two")
    other = next((mark for mark in _OTHER_DELIMITERS if mark != delimiter and mark in names), None)
    if len(header) == 1 and other:
        ending = "ending .tsv" if delimiter == "\t" else "ending .csv"
        raise ValueError(
            f"{path}:1: the header '{names}' is one column, it seems to be divided by {_OTHER_DELIMITERS[other]}; the "
            f"{ending} means {_OTHER_DELIMITERS[delimiter]}: rename or convert the file"
        )


def _rows(path: Path, header: list[str], records: Iterator[tuple[int, list[str], str | None]]) -> Iterator[RawRow]:
    row, has_bad_byte = 0, False
    for line, cells, complaint in records:
        if not complaint and (not cells or (len(cells) == 1 < len(header) and not cells[0].strip())):
            continue
        row += 1
        problem = None
        if complaint:
            problem = Problem(
                reason=f"the row cannot be parsed ({complaint})", remedy="write a quote inside a field twice"
            )
        elif not is_utf8("".join(cells)):
            column = next((name for name, cell in zip(header, cells, strict=False) if not is_utf8(cell)), None)
            text = "".join(cells)
            # Only the first bad byte of a file is looked up: a file in another encoding has one in every row.
            reason = f"not UTF-8: {guess_encoding(text)}" if has_bad_byte else describe_bad_byte(path, text)
            has_bad_byte = True
            problem = Problem(column=column, reason=f"column '{column}' is {reason}", remedy=_SAVE_REMEDY)
        elif len(cells) != len(header):
            problem = _count_problem(cells, header)
        values: dict[str, Any] = dict(zip(header, cells, strict=False))
        if len(cells) > len(header):
            values["(more fields)"] = cells[len(header) :]
        yield RawRow(row=row, line=line, values=values, problem=problem)


def _count_problem(cells: list[str], header: list[str]) -> Problem:
    if len(cells) > len(header):
        remedy = "put a field that holds a delimiter, a quote or a line break in double quotes"
    else:
        remedy = f"add the missing {', '.join(repr(name) for name in header[len(cells) :])}"
    fields = "1 field" if len(cells) == 1 else f"{len(cells)} fields"
    return Problem(reason=f"{fields} where the header has {len(header)}", remedy=remedy)
