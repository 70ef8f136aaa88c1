"""JSON and JSON Lines → rows with their line numbers.

In: a path. Out: a `RowStream`. A JSON Lines file is read a line at a time, an array an element at a time, so that
memory does not grow with the file. Only a single object that wraps its rows (`{"data": [...]}`) is read whole.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from kosum_pl.data.read.encoding import describe_bad_byte, guess_encoding, is_utf8, open_text
from kosum_pl.data.read.row import Problem, RawRow, RowStream

WRAPPERS: Final = ("data", "document", "rows", "examples")
"""Members under which a single JSON object keeps its rows."""

_NUM_PEEKED = 100
_PIECE = 1 << 20
_MAX_ELEMENT_CHARACTERS = 1 << 26
_SAVE_REMEDY = "save it as UTF-8"
_OPENING, _COMMA = re.compile(r"\s*\[\s*"), re.compile(r"\s*,\s*")
_EMPTY, _CLOSING = re.compile(r"\s*\[\s*\]"), re.compile(r"\s*\]")


def open_json_lines(path: Path) -> RowStream:
    """Opens a file with one JSON object a line; blank lines are skipped."""
    return _with_columns(_line_rows(path))


def open_json(path: Path) -> RowStream:
    """Opens a JSON file: an array of objects, an object that wraps such an array, or JSON Lines under another ending.

    Raises:
        ValueError: The text is not JSON or holds no objects.
    """
    with open_text(path) as stream:
        first = next((line for line in stream if line.strip()), "").lstrip()
        if first.startswith("["):
            return _with_columns(_array_rows(path))
        if _parse_object(first) is not None and any(line.strip() for line in stream):
            return _with_columns(_line_rows(path))
    return _with_columns(_wrapped_rows(path))


def column_names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Names of a row's columns; those inside an object are reached by a dot.

    Example:
        >>> list(column_names({"id": 1, "input": {"conversation": []}}))
        ['id', 'input', 'input.conversation']
    """
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from column_names(value, f"{prefix}{name}.")


def _with_columns(rows: Iterator[RawRow]) -> RowStream:
    # A writer that leaves out what is null gives rows of different keys, so the first row alone does not say it.
    peeked = list(itertools.islice(rows, _NUM_PEEKED))
    names = dict.fromkeys(name for row in peeked if not row.problem for name in column_names(row.values))
    return RowStream(columns=tuple(names), rows=itertools.chain(peeked, rows))


def _parse_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _line_rows(path: Path) -> Iterator[RawRow]:
    row, has_bad_byte = 0, False
    with open_text(path) as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            row += 1
            values: dict[str, Any] = {"(text)": text}
            problem: Problem | None
            if not is_utf8(text):
                reason = f"not UTF-8: {guess_encoding(text)}" if has_bad_byte else describe_bad_byte(path, text)
                has_bad_byte = True
                problem = Problem(reason=f"the row is {reason}", remedy=_SAVE_REMEDY)
            else:
                parsed, problem = _parse_line(text)
                values = parsed if problem is None else values
            yield RawRow(row=row, line=line, values=values, problem=problem)


def _parse_line(text: str) -> tuple[dict[str, Any], Problem | None]:
    try:
        value = json.loads(text.rstrip())
    except ValueError as error:
        return {}, Problem(reason=f"the line is not JSON ({_complaint(error)})", remedy="write one JSON object a line")
    if not isinstance(value, dict):
        kind = type(value).__name__
        return {}, Problem(reason=f"the line is a JSON {kind}, not an object", remedy="write one JSON object a line")
    return value, None


def _array_rows(path: Path) -> Iterator[RawRow]:
    with open_text(path) as stream:
        for row, (line, value) in enumerate(_elements(path, stream), start=1):
            if isinstance(value, dict):
                yield RawRow(row=row, line=line, values=value)
            else:
                problem = Problem(
                    reason=f"the element is a JSON {type(value).__name__}, not an object", remedy="write objects"
                )
                yield RawRow(row=row, line=line, values={}, problem=problem)


def _elements(path: Path, stream: TextIO) -> Iterator[tuple[int, Any]]:
    """Elements of a top-level array with the line each starts on."""
    decoder = json.JSONDecoder()
    separator, closing = _OPENING, _EMPTY
    buffer, position, line = _read(path, stream, _PIECE), 0, 1
    while True:
        complaint, at = "expecting ',' or ']'", len(buffer) - len(buffer[position:].lstrip())
        if end := closing.match(buffer, position):
            _check_nothing_follows(path, stream, buffer[end.end() :])
            return
        if match := separator.match(buffer, position):
            try:
                value, stop = decoder.raw_decode(buffer, match.end())
            except json.JSONDecodeError as error:
                complaint, at = error.msg, error.pos
            else:
                # A number or a word at the very end of the piece may go on in the next.
                if isinstance(value, dict) or stop < len(buffer):
                    line += buffer.count("\n", position, match.end())
                    yield line, value
                    line += buffer.count("\n", match.end(), stop)
                    position, separator, closing = stop, _COMMA, _CLOSING
                    continue
        # Twice as much as there is, so that a long element is not parsed again for every piece.
        rest = len(buffer) - position
        piece = _read(path, stream, max(_PIECE, rest)) if rest < _MAX_ELEMENT_CHARACTERS else ""
        if not piece:
            line += buffer.count("\n", position, at)
            raise ValueError(f"{path}:{line}: not valid JSON ({complaint}); repair the file from this line on")
        buffer, position = buffer[position:] + piece, 0


def _check_nothing_follows(path: Path, stream: TextIO, rest: str) -> None:
    if rest.strip() or any(line.strip() for line in stream):
        raise ValueError(f"{path}: text follows the end of the JSON array; write one array, or one object a line")


def _read(path: Path, stream: TextIO, size: int) -> str:
    piece = stream.read(size)
    if not is_utf8(piece):
        raise ValueError(f"{path}: the file is {describe_bad_byte(path, piece)}; {_SAVE_REMEDY}")
    return piece


def _wrapped_rows(path: Path) -> Iterator[RawRow]:
    with open_text(path) as stream:
        text = _read(path, stream, -1)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not valid JSON ({_complaint(error)}); repair the file") from None
    rows: Iterable[Any] | None = None
    if isinstance(value, dict):
        rows = next((value[name] for name in WRAPPERS if isinstance(value.get(name), list)), [value])
    if rows is None or not all(isinstance(element, dict) for element in rows):
        known = ", ".join(WRAPPERS)
        raise ValueError(f"{path}: no list of objects; write an array of objects, JSON Lines, or one under {known}")
    for row, values in enumerate(rows, start=1):
        yield RawRow(row=row, line=None, values=values)


def _complaint(error: ValueError) -> str:
    return f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
