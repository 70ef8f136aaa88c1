"""One cell of any format → text, a list, or an object.

In: what CSV, JSON or Parquet gives for a cell. Out: the same value whatever the format was: an integer that pandas
wrote as `7.0` is `7`, a list may stand as a list or as JSON text in a CSV field, an absent value is an empty one.
"""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any


class CellError(Exception):
    """A cell that cannot be read as what its column should hold.

    Args:
        reason: What is wrong with it, as the rest of a sentence that begins with the column.
        remedy: What the user can do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


_WHOLE_FLOAT = re.compile(r"-?\d+\.0+")


def find_cell(values: Mapping[str, Any], name: str) -> Any:
    """The cell of a column; a name with dots reaches into objects; None where there is none.

    Example:
        >>> find_cell({"input": {"conversation": [1]}}, "input.conversation")
        [1]
    """
    if name in values:
        return values[name]
    outer, _, inner = name.partition(".")
    value = values.get(outer)
    return find_cell(value, inner) if inner and isinstance(value, Mapping) else None


def as_text(cell: Any) -> str:
    r"""A cell as text; lists of text are turns, one a line.

    Raises:
        CellError: The cell is an object, a list of objects, or holds half a character.

    Example:
        >>> as_text(7.0), as_text(None), as_text(["#Person1#: 안녕!", "#Person2#: 네."])
        ('7', '', '#Person1#: 안녕!\n#Person2#: 네.')
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, str):
        _require_whole_characters(cell)
        return cell
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, (list, tuple)) and all(isinstance(item, str) for item in cell):
        return "\n".join(as_text(item) for item in cell)
    if isinstance(cell, (list, tuple, Mapping)):
        remedy = "name the column as data.columns.conversation or data.columns.messages if it is a list of turns"
        raise CellError("holds objects where text is expected", remedy)
    return str(cell)


def as_profile(cell: Any) -> str:
    """A profile's value as text, so that a preset's `weekday: 7` meets 7, 7.0 and '7.0' alike.

    Example:
        >>> as_profile("7.0"), as_profile(" 의사  상담")
        ('7', '의사 상담')
    """
    text = unicodedata.normalize("NFC", " ".join(as_text(cell).split()))
    return text.partition(".")[0] if _WHOLE_FLOAT.fullmatch(text) else text


def as_texts(cell: Any) -> list[str]:
    """A cell that may hold several texts: a list, the same as JSON text, or one text; empty ones are left out.

    Raises:
        CellError: The cell holds objects.

    Example:
        >>> as_texts('["하나", "둘"]'), as_texts("[공지] 하나")
        (['하나', '둘'], ['[공지] 하나'])
    """
    if isinstance(cell, str) and cell.lstrip().startswith("["):
        items = _parse_list(cell)
        cell = items if isinstance(items, list) and all(isinstance(item, str) for item in items) else cell
    cells = cell if isinstance(cell, (list, tuple)) else [cell]
    return [text for text in map(as_text, cells) if text.strip()]


def as_slots(cell: Any) -> tuple[str, ...]:
    """Slots: a list, or text divided by `|`.

    Example:
        >>> as_slots("지민|오후 3시| ")
        ('지민', '오후 3시')
    """
    texts = cell.split("|") if isinstance(cell, str) else as_texts(cell)
    cleaned = (unicodedata.normalize("NFC", " ".join(text.split())) for text in texts)
    return tuple(text for text in cleaned if text)


def as_objects(cell: Any) -> list[Mapping[str, Any]]:
    """A cell that holds a list of objects, also as JSON text or as Python prints it (pandas' `to_csv` does).

    Raises:
        CellError: It holds anything else.

    Example:
        >>> as_objects("[{'speaker': '1', 'utterance': '네'}]")
        [{'speaker': '1', 'utterance': '네'}]
    """
    if isinstance(cell, str):
        cell = _parse_list(cell)
    if not isinstance(cell, (list, tuple)) or not all(isinstance(item, Mapping) for item in cell):
        remedy = "write a list of objects with a speaker and an utterance, or a role and a content"
        raise CellError("is not a list of objects", remedy)
    return list(cell)


def _require_whole_characters(text: str) -> None:
    # JSON can spell half of a surrogate pair; neither Arrow nor a tokenizer can hold it.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CellError(
            f"holds half a character (\\u{ord(text[error.start]):04x})", "write the whole character"
        ) from None


def _parse_list(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
