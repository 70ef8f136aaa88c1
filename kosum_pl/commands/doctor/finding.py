"""What every check of `doctor` yields: one line about one thing, and what to do about it.

In: nothing. Out: `Finding`, one function a level that makes one, and how bad a list of them is. Checks are pure
generators, so that each fault can be planted in a test; only the standard library is imported.
"""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from kosum_pl.errors import user_error_line

Level = Literal["ok", "note", "warning", "broken"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "note", "warning", "broken")
"""From harmless to fatal."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was checked.

    Attributes:
        area: Heading it stands under: `versions`, `machine`, `config`, `special tokens`, …; the report sets it.
        level: `ok`; `note`, nothing to do; `warning`, look at it; `broken`, a run would fail or learn the wrong thing.
        remedy: What to do, best as a line to paste; empty where there is nothing to do.
    """

    area: str = ""
    level: Level
    text: str
    remedy: str = ""


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(level="ok", text=text)


def note(text: str, remedy: str = "") -> Finding:
    """Nothing has to be done."""
    return Finding(level="note", text=text, remedy=remedy)


def warning(text: str, remedy: str = "") -> Finding:
    """Somebody should look at it."""
    return Finding(level="warning", text=text, remedy=remedy)


def broken(text: str, remedy: str = "") -> Finding:
    """A run would fail or learn the wrong thing."""
    return Finding(level="broken", text=text, remedy=remedy)


def warning_if(is_bad: bool, text: str, remedy: str = "", *, otherwise: Level = "ok") -> Finding:
    """A warning with its remedy where something is bad, and the same text where it is not."""
    return warning(text, remedy) if is_bad else Finding(level=otherwise, text=text)


def worst_level(findings: Sequence[Finding]) -> Level:
    """The worst level among findings; `ok` for none.

    Example:
        >>> worst_level([note("a"), warning("b")])
        'warning'
    """
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


def attempt(make: Callable[[], _Value]) -> tuple[_Value | None, list[Finding]]:
    """What a part of the run makes, or None and the error that `fit` would end with.

    Raises:
        UsageError: An option or a key is misspelt, so that nobody knows what to examine.
    """
    try:
        return make(), []
    except (ValueError, FileNotFoundError) as error:
        line = user_error_line(error)
        if line is None or isinstance(error.__cause__, ArgumentError):
            raise
        return None, [broken(line)]
