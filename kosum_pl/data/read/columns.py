"""The user's column names → those that a file has.

In: `data.columns` and the names a file's header lists. Out: an `ExistingColumns`. One setting serves all splits, while
the contest's test split has neither summary nor topic: here is decided which absence is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MAX_LISTED: Final = 40
_DEFAULT_PROFILE: Final = ("topic", "weekday")
_DEFAULT_SLOTS: Final = "slots"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns; the defaults are the contest's. A name with dots reaches into a JSON object.

    Attributes:
        example_id: The row's id; null: ids are made of the split and the row's number.
        dialogue: The dialogue's text; unused where `conversation` or `messages` is set.
        summary: The reference summary; a list names several references, those a file has are taken. A cell may
            hold a list too.
        profile: Columns that tell one kind of row from another; null: `topic` and `weekday`, where they exist.
        conversation: A list of speaker and utterance, instead of `dialogue`.
        messages: A chat of role and content, instead of `dialogue` and `summary`.
        slots: Strings a right summary carries over, a list or divided by `|`; null: `slots`, where it exists.
    """

    example_id: str | None = "fname"
    dialogue: str = "dialogue"
    summary: str | list[str] = "summary"
    profile: list[str] | None = None
    conversation: str | None = None
    messages: str | None = None
    slots: str | None = None

    def __post_init__(self) -> None:
        if self.conversation and self.messages:
            raise ValueError(
                "data.columns: conversation and messages are both set; a row has one of them, unset the other"
            )
        if not self.summary:
            raise ValueError("data.columns.summary is empty; name the column of the reference summary")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingColumns:
    """What a file has of the columns that may be absent, and what the config names and the file lacks."""

    summaries: tuple[str, ...]
    profile: tuple[str, ...]
    slots: str | None
    absent: tuple[str, ...]


def match_columns(columns: Columns, names: Sequence[str], *, file: str, needs_summary: bool) -> ExistingColumns:
    """Checks the user's names against the columns that a file has.

    Where the split is useless without summaries, the profile columns and slots that the config names must exist too: a
    misspelt one would go unseen.

    Raises:
        ValueError: A column is missing; the message lists those that exist.

    Example:
        >>> match_columns(Columns(), ["fname", "dialogue", "topic"], file="test.csv", needs_summary=False).profile
        ('topic',)
    """

    def require(name: str, argument: str) -> None:
        if name not in names:
            more = f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else ""
            known = (", ".join(map(repr, names[:_MAX_LISTED])) or "none") + more
            raise ValueError(f"{file}: no column '{name}'; columns: {known}; rename the column or set {argument}")

    if columns.example_id is not None:
        require(columns.example_id, "data.columns.example_id (null makes ids of the row numbers)")
    text_field = "messages" if columns.messages else "conversation" if columns.conversation else "dialogue"
    require(getattr(columns, text_field), f"data.columns.{text_field}")
    listed = [columns.summary] if isinstance(columns.summary, str) else columns.summary
    summaries = [] if columns.messages else listed
    optional = {f"data.columns.profile[{i}]": name for i, name in enumerate(columns.profile or ())}
    if columns.slots:
        optional["data.columns.slots"] = columns.slots
    if needs_summary:
        for argument, name in optional.items():
            require(name, argument)
        if summaries and not set(summaries) & set(names):
            require("' or '".join(summaries), "data.columns.summary")
    profile = _DEFAULT_PROFILE if columns.profile is None else columns.profile
    slots = columns.slots or _DEFAULT_SLOTS
    return ExistingColumns(
        summaries=tuple(name for name in summaries if name in names),
        profile=tuple(name for name in profile if name in names),
        slots=slots if slots in names else None,
        absent=tuple(name for name in (*summaries, *optional.values()) if name not in names),
    )
