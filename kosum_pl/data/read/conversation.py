"""Lists of utterances or chat messages → the text of a dialogue.

In: a `conversation` cell (speaker and utterance, as the national corpora have it) or a `messages` cell (role and
content, as chat models have it). Out: dialogue text with numbered speakers, or `Message` values with their roles.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kosum_pl.data.read.cell import CellError, as_objects, as_text
from kosum_pl.types import Message

SPEAKER_KEYS: Final = ("speaker", "speaker_id", "participantID")
"""Names under which corpora keep who speaks; the first that a turn has is taken."""

UTTERANCE_KEYS: Final = ("utterance", "form", "original_form", "text")
"""Names under which corpora keep what is said; `form` is the corrected spelling of `original_form`."""

ROLES: Final = ("system", "user", "assistant")
"""Roles a chat message may have."""


def render_conversation(cell: Any, clean: Callable[[str], str]) -> str:
    r"""A list of turns as text, one turn a line, speakers numbered in the order they first speak.

    Args:
        cell: List of objects with a speaker and an utterance, or the same as JSON text.
        clean: Cleaning of an utterance, done before turns are joined: a break inside one would look like a new turn.

    Raises:
        CellError: The cell is not such a list; the message says what it lacks.

    Example:
        >>> turns = [{"speaker": "지민", "utterance": "안녕!"}, {"speaker": "수아", "utterance": "응."}]
        >>> render_conversation(turns, clean=str)
        '#Person1#: 안녕!\n#Person2#: 응.'
    """
    turns = as_objects(cell)
    speakers: dict[str, int] = {}
    lines: list[str] = []
    for number, turn in enumerate(turns, start=1):
        speaker = as_text(_first(turn, SPEAKER_KEYS, number))
        utterance = " ".join(clean(as_text(_first(turn, UTTERANCE_KEYS, number))).split())
        if utterance:
            lines.append(f"#Person{speakers.setdefault(speaker, len(speakers) + 1)}#: {utterance}")
    return "\n".join(lines)


def read_messages(cell: Any, clean: Callable[[str], str]) -> tuple[Message, ...]:
    """A list of chat messages with cleaned contents.

    Raises:
        CellError: The cell is not such a list, or a role is unknown.
    """
    turns = as_objects(cell)
    messages: list[Message] = []
    for number, turn in enumerate(turns, start=1):
        role = turn.get("role")
        if role not in ROLES:
            raise CellError(f"has role {role!r} in message {number}", f"write one of {', '.join(ROLES)}")
        messages.append(Message(role=role, content=clean(_content_of(turn, number))))
    return tuple(messages)


def _content_of(turn: Mapping[str, Any], number: int) -> str:
    """A message's text; a list of parts, as multimodal chats have it, gives its text parts."""
    content = _first(turn, ("content",), number)
    if isinstance(content, (list, tuple)) and all(isinstance(part, Mapping) for part in content):
        content = [as_text(part.get("text")) for part in content if part.get("type", "text") == "text"]
    return as_text(content)


def _first(turn: Mapping[str, Any], keys: tuple[str, ...], number: int) -> Any:
    key = next((key for key in keys if key in turn), None)
    if key is None:
        raise CellError(f"has no '{keys[0]}' in turn {number}", f"write {' or '.join(repr(key) for key in keys)}")
    return turn[key]
