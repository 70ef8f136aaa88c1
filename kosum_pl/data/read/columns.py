"""The user's column names → those that a file has.

In: `data.columns` and the names a file's header lists. Out: an `ExistingColumns`. One setting serves all splits, while
the contest's test split has neither summary nor topic: here is decided which absence is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DEFAULT_PROFILE: Final = ("topic", "weekday")
"""Profile columns that are taken where they exist and the config names none."""

DEFAULT_SLOTS: Final = "slots"
"""Column of slots that is taken where it exists and the config names none."""


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

    @property
    def summaries(self) -> tuple[str, ...]:
        """The reference columns as a tuple."""
        return (self.summary,) if isinstance(self.summary, str) else tuple(self.summary)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingColumns:
    """What a file has of the columns that may be absent.

    Attributes:
        summaries: Reference columns.
        profile: Profile columns.
        slots: Column of slots.
        absent: Columns the config names and the file lacks.
    """

    summaries: tuple[str, ...]
    profile: tuple[str, ...]
    slots: str | None
    absent: tuple[str, ...]


def match_columns(columns: Columns, names: Sequence[str], *, file: str, needs_summary: bool) -> ExistingColumns:
    """Checks the user's names against the columns a file has.

    Args:
        columns: The user's names.
        names: Columns of the file.
        file: Name of the file, for messages.
        needs_summary: Whether the split is useless without summaries. Profile columns and slots that the config names
            must exist then too: a misspelt one would go unseen.

    Raises:
        ValueError: A column is missing; the message lists those that exist.

    Example:
        >>> match_columns(Columns(), ["fname", "dialogue", "topic"], file="test.csv", needs_summary=False).profile
        ('topic',)
    """
    _check_required(columns, names, file)
    summaries = () if columns.messages else columns.summaries
    optional = {f"data.columns.profile[{i}]": name for i, name in enumerate(columns.profile or ())}
    if columns.slots:
        optional["data.columns.slots"] = columns.slots
    if needs_summary:
        for argument, name in optional.items():
            if name not in names:
                raise _missing(name, names, file, argument)
        if summaries and not set(summaries) & set(names):
            raise _missing("' or '".join(summaries), names, file, "data.columns.summary")
    profile = DEFAULT_PROFILE if columns.profile is None else tuple(columns.profile)
    slots = columns.slots or DEFAULT_SLOTS
    return ExistingColumns(
        summaries=tuple(name for name in summaries if name in names),
        profile=tuple(name for name in profile if name in names),
        slots=slots if slots in names else None,
        absent=tuple(name for name in (*summaries, *optional.values()) if name not in names),
    )


def _check_required(columns: Columns, names: Sequence[str], file: str) -> None:
    field = "messages" if columns.messages else "conversation" if columns.conversation else "dialogue"
    text_column: str = getattr(columns, field)
    if columns.example_id is not None and columns.example_id not in names:
        remedy = "data.columns.example_id (null makes ids of the row numbers)"
        raise _missing(columns.example_id, names, file, remedy)
    if text_column not in names:
        raise _missing(text_column, names, file, f"data.columns.{field}")


def _missing(name: str, names: Sequence[str], file: str, argument: str) -> ValueError:
    known = ", ".join(repr(column) for column in names) or "none"
    return ValueError(f"{file}: no column '{name}'; columns: {known}; rename the column or set {argument}")
