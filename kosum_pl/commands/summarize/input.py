"""Dialogues that somebody wants summarized: from a file, or from standard input.

In: text with blank lines between dialogues, or a table with the usual columns. Out: cleaned `Dialogue` rows in order.
What stands in a file of dialogues is private: nothing of it is left in a cache.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from kosum_pl.data import Columns, make_cleaner, read_dialogues
from kosum_pl.data.read.row import DROP_HINT
from kosum_pl.errors import UsageError
from kosum_pl.lookup import resolve_path
from kosum_pl.types import Dialogue

TABLES: Final = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
_GAP: Final = re.compile(r"\n[^\S\n]*\n\s*")


def read_input(source: str, *, input_format: str, columns: Columns, cleaning: Sequence[str]) -> list[Dialogue]:
    """All dialogues of a source: a file, `demo:NAME`, or `-` for standard input.

    The format `auto` is a file's by its ending, and text from standard input.

    Raises:
        ValueError: There is no such file, it cannot be read, or it holds no dialogue.
    """
    path = None if source == "-" else Path(resolve_path(source))
    if path is not None and not path.is_file():
        raise UsageError(f"{source}: no such file; give a file of dialogues, or - for standard input")
    if input_format == "auto":
        is_table = path is not None and path.suffix.lower() in TABLES
        input_format = path.suffix.lower()[1:] if path is not None and is_table else "text"
        if is_table:
            return _read_table(str(path), name=source, columns=columns, cleaning=cleaning)
    content = _standard_input() if path is None else path.read_bytes()
    name = "standard input" if path is None else source
    if input_format == "text":
        return split_dialogues(_decode(content, name), cleaning=cleaning, name=name)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{'stdin' if path is None else path.stem}.{input_format}"
        copy.write_bytes(content)
        return _read_table(str(copy), name=name, columns=columns, cleaning=cleaning)


def split_dialogues(text: str, *, cleaning: Sequence[str], name: str) -> list[Dialogue]:
    r"""Dialogues of a text, divided by blank lines.

    Example:
        >>> [row.text for row in split_dialogues("A: 안녕?\nB: 응.\n\n\nA: 가자.\n", cleaning=(), name="a.txt")]
        ['A: 안녕?\nB: 응.', 'A: 가자.']
    """
    clean = make_cleaner(cleaning)
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").strip()
    texts = [cleaned for part in _GAP.split(lines) if (cleaned := clean(part)).strip()]
    if not texts:
        raise UsageError(f"{name} holds no dialogue; write one, a turn a line, and a blank line before the next")
    return [Dialogue(example_id=f"dialogue_{number}", text=text) for number, text in enumerate(texts, start=1)]


def _read_table(path: str, *, name: str, columns: Columns, cleaning: Sequence[str]) -> list[Dialogue]:
    """Rows of a table; those of one without ids are numbered, as somebody's own dialogues seldom have any.

    Raises:
        ValueError: A row is wrong; without the remedy to drop it, as every row is answered.
    """
    read = partial(read_dialogues, path, cleaning=cleaning, on_bad_rows="error", needs_summary=False, split="predict")
    with tempfile.TemporaryDirectory() as folder:
        try:
            try:
                return list(read(columns=columns, cache_dir=Path(folder)))
            except ValueError as error:
                if f"no column '{columns.example_id}'" not in str(error):
                    raise
                return list(read(columns=replace(columns, example_id=None), cache_dir=Path(folder)))
        except ValueError as error:
            raise UsageError(str(error).replace(path, name).removesuffix(DROP_HINT)) from error


def _standard_input() -> bytes:
    binary = getattr(sys.stdin, "buffer", None)
    return bytes(binary.read()) if binary is not None else sys.stdin.read().encode()


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 at byte {error.start}; save the dialogues as UTF-8") from error
