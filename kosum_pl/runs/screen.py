"""The rich console of every report: it shows texts, and obeys none.

In: tables, panels and lines with texts of users in them. Out: the same on the terminal, with control characters spelt
out, and with `[brackets]` and `:words:` as they stand: rich would read them as markup and emoji of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from kosum_pl.terminal import TEXT, escaped


class Screen(Console):
    """A console for texts of users; arguments are those of `rich.console.Console`."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, **arguments})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of a renderable; its texts are escaped before they are broken into lines."""
        if isinstance(renderable, str):
            renderable = escaped(renderable, kept=TEXT)
        elif isinstance(renderable, Text) and renderable.plain != (plain := escaped(renderable.plain, kept=TEXT)):
            renderable = renderable.copy()
            renderable.plain = plain
        return super().render(renderable, options)
