"""One cell of any format → text, a list of texts, or the turns of a dialogue.

In: what CSV, JSON or Parquet gives for a cell. Out: the same value whatever the format was: an integer that pandas
wrote as `7.0` is `7`, a list may stand as JSON text in a CSV field, an absent value is an empty one. A cell
that cannot be read as what its column should hold raises a `RowError` whose reason follows the column's name.
"""

from __future__ import annotations

import ast
import json
import math
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from kosum_pl.data.read.row import RowError
from kosum_pl.types import Message

SPEAKER_KEYS: Final = ("speaker", "speaker_id", "participantID")
"""Names under which corpora keep who speaks; the first that a turn has is taken."""

UTTERANCE_KEYS: Final = ("utterance", "form", "original_form", "text")
"""Names under which corpora keep what is said; `form` is the corrected spelling of `original_form`."""

_ROLES: Final = ("system", "user", "assistant")


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
        raise RowError("holds objects where text is expected", remedy)
    return str(cell)


def as_texts(cell: Any) -> list[str]:
    """A cell that may hold several texts: a list, the same as JSON text, or one text; empty ones are left out.

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
    texts = as_text(cell).split("|") if isinstance(cell, str) else as_texts(cell)
    cleaned = (unicodedata.normalize("NFC", " ".join(text.split())) for text in texts)
    return tuple(text for text in cleaned if text)


def as_conversation(cell: Any, clean: Callable[[str], str]) -> str:
    r"""A list of turns as text, one turn a line, speakers numbered in the order they first speak.

    Utterances are cleaned before turns are joined: a break inside one would look like a new turn.

    Example:
        >>> turns = [{"speaker": "지민", "utterance": "안녕!"}, {"speaker": "수아", "utterance": "응."}]
        >>> as_conversation(turns, clean=str)
        '#Person1#: 안녕!\n#Person2#: 응.'
    """
    speakers: dict[str, int] = {}
    lines: list[str] = []
    for number, turn in enumerate(_as_objects(cell), start=1):
        speaker = as_text(_first(turn, SPEAKER_KEYS, number))
        utterance = " ".join(clean(as_text(_first(turn, UTTERANCE_KEYS, number))).split())
        if utterance:
            lines.append(f"#Person{speakers.setdefault(speaker, len(speakers) + 1)}#: {utterance}")
    return "\n".join(lines)


def as_messages(cell: Any, clean: Callable[[str], str]) -> tuple[Message, ...]:
    """A list of chat messages, objects of role and content, with cleaned contents."""
    messages: list[Message] = []
    for number, turn in enumerate(_as_objects(cell), start=1):
        role = turn.get("role")
        if role not in _ROLES:
            raise RowError(f"has role {role!r} in message {number}", f"write one of {', '.join(_ROLES)}")
        content = _first(turn, ("content",), number)
        # A list of parts, as multimodal chats have it, gives its text parts.
        if isinstance(content, (list, tuple)) and all(isinstance(part, Mapping) for part in content):
            content = [as_text(part.get("text")) for part in content if part.get("type", "text") == "text"]
        messages.append(Message(role=role, content=clean(as_text(content))))
    return tuple(messages)


def _as_objects(cell: Any) -> list[Mapping[str, Any]]:
    """A cell that holds a list of objects, also as JSON text or as Python prints it (pandas' `to_csv` does)."""
    if isinstance(cell, str):
        cell = _parse_list(cell)
    if not isinstance(cell, (list, tuple)) or not all(isinstance(item, Mapping) for item in cell):
        remedy = "write a list of objects with a speaker and an utterance, or a role and a content"
        raise RowError("is not a list of objects", remedy)
    return list(cell)


def _first(turn: Mapping[str, Any], keys: tuple[str, ...], number: int) -> Any:
    key = next((key for key in keys if key in turn), None)
    if key is None:
        raise RowError(f"has no '{keys[0]}' in turn {number}", f"write {' or '.join(repr(key) for key in keys)}")
    return turn[key]


def _require_whole_characters(text: str) -> None:
    # JSON can spell half of a surrogate pair; neither Arrow nor a tokenizer can hold it.
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowError(
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
