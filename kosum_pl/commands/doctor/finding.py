"""What every check of `doctor` returns: one line about one thing, and what to do about it.

In: nothing. Out: `Finding`, and how bad a list of them is. Checks are pure functions, so that each fault can be
planted in a test; only the standard library is imported.
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
        area: Heading it stands under: `versions`, `machine`, `config`, `special tokens`, …
        level: `ok`; `note`, nothing to do; `warning`, look at it; `broken`, a run would fail or learn the wrong thing.
        text: What was found, with its numbers.
        remedy: What to do, best as a line to paste; empty where there is nothing to do.
    """

    area: str
    level: Level
    text: str
    remedy: str = ""


def worst_level(findings: Sequence[Finding]) -> Level:
    """The worst level among findings; `ok` for none.

    Example:
        >>> worst_level([Finding(area="data", level="note", text=""), Finding(area="data", level="warning", text="")])
        'warning'
    """
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")


def attempt(area: str, make: Callable[[], _Value]) -> tuple[_Value | None, list[Finding]]:
    """What a part of the run makes, or why it cannot.

    Args:
        area: Heading of the finding.
        make: Builds the part.

    Returns:
        The part and no finding, or None and the error that `fit` would end with.

    Raises:
        UsageError: An option or a key is misspelt, so that nobody knows what to examine.
    """
    try:
        return make(), []
    except (ValueError, FileNotFoundError) as error:
        line = user_error_line(error)
        if line is None or isinstance(error.__cause__, ArgumentError):
            raise
        return None, [Finding(area=area, level="broken", text=line)]
