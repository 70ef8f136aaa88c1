"""JSON and JSON Lines → rows with their line numbers.

In: a path. Out: a `RowStream`. A JSON Lines file is read a line at a time, an array an element at a time, so that
memory does not grow with the file. Only a single object that wraps its rows (`{"data": [...]}`) is read whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from kosum_pl.data.read.encoding import BadBytes, is_utf8, open_text
from kosum_pl.data.read.row import RawRow, RowError, RowStream

WRAPPERS: Final = ("data", "document", "rows", "examples")
"""Members under which a single JSON object keeps its rows."""

_PIECE = 1 << 20
_MAX_ELEMENT_CHARACTERS: Final = 1 << 26
_SAVE_REMEDY: Final = "save it as UTF-8"
_OPENING, _COMMA = re.compile(r"\s*\[\s*"), re.compile(r"\s*,\s*")
_EMPTY, _CLOSING = re.compile(r"\s*\[\s*\]"), re.compile(r"\s*\]")


def read_json_lines(path: Path) -> RowStream:
    """Rows of a file with one JSON object a line; blank lines are skipped."""
    return RowStream(rows=_line_rows(path))


def read_json(path: Path) -> RowStream:
    """Rows of an array of objects, an object that wraps such an array, or JSON Lines under another ending.

    Raises:
        ValueError: The text is not JSON or holds no objects.
    """
    with open_text(path) as stream:
        first = next((line for line in stream if line.strip()), "").lstrip()
        if first.startswith("["):
            return RowStream(rows=_array_rows(path))
        if _is_object(first) and any(line.strip() for line in stream):
            return RowStream(rows=_line_rows(path))
    return RowStream(rows=_wrapped_rows(path))


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _line_rows(path: Path) -> Iterator[RawRow]:
    bad_bytes = BadBytes(path)
    with open_text(path) as stream:
        for line, text in enumerate(stream, start=1):
            if not text.strip():
                continue
            try:
                if not is_utf8(text):
                    raise RowError(f"the row is {bad_bytes.describe(text)}", _SAVE_REMEDY)
                yield RawRow(values=_parse_line(text), line=line)
            except RowError as error:
                yield RawRow(values={"(text)": text}, line=line, error=error)


def _parse_line(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text.rstrip())
    except ValueError as error:
        raise RowError(f"the line is not JSON ({_complaint(error)})", "write one JSON object a line") from None
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise RowError(f"the line is a JSON {kind}, not an object", "write one JSON object a line")
    return value


def _array_rows(path: Path) -> Iterator[RawRow]:
    with open_text(path) as stream:
        for line, value in _elements(path, stream):
            if isinstance(value, dict):
                yield RawRow(values=value, line=line)
            else:
                reason = f"the element is a JSON {type(value).__name__}, not an object"
                yield RawRow(values={}, line=line, error=RowError(reason, "write objects"))


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
        raise ValueError(f"{path}: the file is {BadBytes(path).describe(piece)}; {_SAVE_REMEDY}")
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
    yield from (RawRow(values=values) for values in rows)


def _complaint(error: ValueError) -> str:
    return f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
