"""Bytes of a file → text lines, with a bad byte found again by its position.

In: a path. Out: an open text stream in which a byte that is not UTF-8 has become a lone surrogate (so that one broken
row does not stop the reading of all others), and, for messages, where the first such byte stands and what it may be.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final, TextIO

_UTF16_MARKS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PIECE: Final = 1 << 20
# First bytes, what they begin, and what to do.
_KINDS: Final = {
    b"PK\x03\x04": ("a zip archive, as an Excel file (.xlsx) is one", "save it as 'CSV UTF-8', or unpack it"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file (.xls)", "save it as 'CSV UTF-8'"),
    b"\x1f\x8b": ("gzip data", "unpack it: gunzip FILE"),
    b"BZh": ("bzip2 data", "unpack it: bunzip2 FILE"),
    b"\xfd7zXZ\x00": ("xz data", "unpack it: unxz FILE"),
    b"\x28\xb5\x2f\xfd": ("zstd data", "unpack it: unzstd FILE"),
    b"PAR1": ("a Parquet file", "rename it to .parquet"),
    b"ARROW1": ("an Arrow file", "convert it to .parquet"),
    b"SQLite format 3": ("a SQLite database", "export its table as CSV"),
    b"%PDF": ("a PDF", "give the table itself"),
}


def open_text(path: Path) -> TextIO:
    """Opens a file as UTF-8, with or without a byte order mark; line ends stay as they are.

    Raises:
        ValueError: The file says of itself that it is UTF-16.
    """
    with path.open("rb") as stream:
        if stream.read(2) in _UTF16_MARKS:
            raise ValueError(f"{path}:1: the file is UTF-16, not UTF-8 (byte order mark at byte 0); save it as UTF-8")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def check_is_text(path: Path, *, ending: str) -> None:
    """Refuse what is no table of text by its first bytes, whatever its name says.

    Raises:
        ValueError: It is an archive, a spreadsheet, a Parquet file or a page of HTML; the message says which.
    """
    with path.open("rb") as stream:
        start = stream.read(512)
    kind = next((kind for mark, kind in _KINDS.items() if start.startswith(mark)), None)
    if kind is None and start.lstrip(codecs.BOM_UTF8 + b" \t\r\n").lower().startswith(
        (b"<!doctype", b"<html", b"<?xml")
    ):
        kind = "a page of HTML or XML", "an error page saved as data? Download the file once more"
    if kind is not None:
        raise ValueError(f"{path}: this is {kind[0]}, not {ending}; {kind[1]}")


def is_utf8(text: str) -> bool:
    """Whether the bytes behind a text of `open_text` were UTF-8.

    Example:
        >>> is_utf8("요약"), is_utf8("요약".encode("cp949").decode("utf-8", "surrogateescape"))
        (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class BadBytes:
    """Describes texts of one file that are not UTF-8."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_described = False

    def describe(self, text: str) -> str:
        """Reason for a message about a text that `is_utf8` refuses; the file's first one with its position."""
        # Only the first bad byte of a file is looked up: a file in another encoding has one in every row.
        position = "" if self._has_described else _first_position(self._path)
        self._has_described = True
        return f"not UTF-8{position}: {guess_encoding(text)}"


def guess_encoding(text: str) -> str:
    """What to call the encoding of a text that `is_utf8` refuses, as half a sentence.

    Example:
        >>> guess_encoding("요약".encode("cp949").decode("utf-8", "surrogateescape"))
        "it reads as CP949, the default of Excel's CSV on Korean Windows"
    """
    num_bad = sum("\udc80" <= character <= "\udcff" for character in text)
    num_good = sum(not character.isascii() for character in text) - num_bad
    # Korean UTF-8 with a byte missing often reads as CP949 too, as nonsense; but then most of it is sound UTF-8.
    if num_good > num_bad:
        return "most of the row is, so a few bytes are broken"
    try:
        text.encode("utf-8", "surrogateescape").decode("cp949")
    except UnicodeDecodeError:
        return "nor is it CP949"
    return "it reads as CP949, the default of Excel's CSV on Korean Windows"


def _first_position(path: Path) -> str:
    """Value, offset and line of a file's first byte that is not UTF-8, found in pieces of 1 MiB."""
    line, offset, rest = 1, 0, b""
    with path.open("rb") as stream:
        while True:
            piece = stream.read(_PIECE)
            data = rest + piece
            try:
                _, used = codecs.utf_8_decode(data, "strict", not piece)
            except UnicodeDecodeError as error:
                line += data.count(b"\n", 0, error.start)
                return f" (byte 0x{data[error.start]:02x} at offset {offset + error.start}, line {line})"
            if not piece:
                return ""
            line, offset, rest = line + data.count(b"\n", 0, used), offset + used, data[used:]
