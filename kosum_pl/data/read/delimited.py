"""CSV and TSV → rows with their line numbers.

In: a path. Out: a `RowStream`. `datasets`' own reader gives neither line numbers nor a reason a user could act on, and
guesses types; here every cell stays text, and a row whose number of fields is wrong is a bad row, not a shifted one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

from kosum_pl.data.read.encoding import BadBytes, check_is_text, is_utf8, open_text
from kosum_pl.data.read.row import RawRow, RowError, RowStream

_MAX_FIELD_CHARACTERS: Final = 1 << 24
_OTHER_DELIMITERS: Final = {";": "a semicolon", "\t": "a tab", "|": "a bar", ",": "a comma"}
_SAVE_REMEDY: Final = "save it as UTF-8 (in Excel: 'CSV UTF-8')"

_Record = tuple[int, list[str], str | None]


def read_delimited(path: Path, *, delimiter: str) -> RowStream:
    """Rows of a file whose first line is a header; quoted fields may have line breaks.

    Raises:
        ValueError: The header cannot be used: not UTF-8, a name twice, another delimiter.
    """
    # The module's default of 131,072 characters is less than a long meeting; the setting is the whole process's.
    check_is_text(path, ending=".tsv" if delimiter == "\t" else ".csv")
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD_CHARACTERS))
    records = _records(path, delimiter)
    _, header, complaint = next((record for record in records if record[1] or record[2]), (1, [], None))
    if complaint:
        raise ValueError(f"{path}:1: the header cannot be read: {complaint}; put names with quotes in double quotes")
    if not header:
        raise ValueError(f"{path}: the file is empty; write a header and rows into it")
    _check_header(path, header, delimiter)
    return RowStream(rows=_rows(path, header, records), columns=tuple(header))


read_csv = partial(read_delimited, delimiter=",")
read_tsv = partial(read_delimited, delimiter="\t")


def _records(path: Path, delimiter: str) -> Iterator[_Record]:
    """Start line, cells and the parser's complaint of each record."""
    with open_text(path) as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                yield line, next(reader), None
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


def _check_header(path: Path, header: list[str], delimiter: str) -> None:
    names = delimiter.join(header)
    if not is_utf8(names):
        raise ValueError(f"{path}:1: the header is {BadBytes(path).describe(names)}; {_SAVE_REMEDY}")
    twice = _first_repeated(header)
    if twice is not None:
        raise ValueError(f"{path}:1: the header names column '{twice}' twice; rename one of the two")
    other = next((mark for mark in _OTHER_DELIMITERS if mark != delimiter and mark in names), None)
    if len(header) == 1 and other:
        ending = "ending .tsv" if delimiter == "\t" else "ending .csv"
        raise ValueError(
            f"{path}:1: the header '{names}' is one column, it seems to be divided by {_OTHER_DELIMITERS[other]}; the "
            f"{ending} means {_OTHER_DELIMITERS[delimiter]}: rename or convert the file"
        )


def _first_repeated(names: list[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            return name
        seen.add(name)
    return None


def _rows(path: Path, header: list[str], records: Iterator[_Record]) -> Iterator[RawRow]:
    bad_bytes = BadBytes(path)
    for line, cells, complaint in records:
        is_blank = not cells or (len(cells) == 1 < len(header) and not cells[0].strip())
        if is_blank and not complaint:
            continue
        values: dict[str, Any] = dict(zip(header, cells, strict=False))
        if len(cells) > len(header):
            values["(more fields)"] = cells[len(header) :]
        error = None
        if complaint:
            error = RowError(f"the row cannot be parsed ({complaint})", "write a quote inside a field twice")
        elif not is_utf8("".join(cells)):
            column = next((name for name, cell in zip(header, cells, strict=False) if not is_utf8(cell)), None)
            reason = f"column '{column}' is {bad_bytes.describe(''.join(cells))}"
            error = RowError(reason, _SAVE_REMEDY, column=column)
        elif len(cells) != len(header):
            error = _count_error(cells, header)
        yield RawRow(values=values, line=line, error=error)


def _count_error(cells: list[str], header: list[str]) -> RowError:
    if len(cells) > len(header):
        remedy = "put a field that holds a delimiter, a quote or a line break in double quotes"
    else:
        remedy = f"add the missing {', '.join(repr(name) for name in header[len(cells) :])}"
    fields = "1 field" if len(cells) == 1 else f"{len(cells)} fields"
    return RowError(f"{fields} where the header has {len(header)}", remedy)
