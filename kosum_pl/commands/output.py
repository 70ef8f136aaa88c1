"""How a command shows what it found.

In: a report of any command. Out: the same on the terminal, and as JSON where a file is wanted.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from kosum_pl.files import write_json
from kosum_pl.terminal import say

if TYPE_CHECKING:
    from rich.console import Console

# Into a file or a pipe: wide enough for the tables.
_PIPE_WIDTH: Final = 140


class Report(Protocol):
    """What a command found."""

    def print(self, console: Console) -> None:
        """Print it."""

    def values(self) -> dict[str, Any]:
        """All of it as plain values."""


def show(report: Report) -> None:
    """Print a report on standard output."""
    from kosum_pl.runs.screen import Screen

    report.print(Screen(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False))


def write_values(values: Mapping[str, Any], json_file: Path | None) -> None:
    """Write a report's values, if a file is wanted, and say so."""
    if json_file is not None:
        write_json(json_file, values)
        say(f"written: {json_file}")


def visible(text: str) -> str:
    r"""Text on one line, with what no terminal shows spelt out.

    Example:
        >>> visible("가\n나\u200b"), visible("\u0301")
        ('가↵나\\u200b', '◌́')
    """
    shown = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text.replace("\n", "↵")
    )
    return f"◌{shown}" if shown and unicodedata.combining(shown[0]) else shown
