"""Files that a fit goes on without.

In: the writing of a file beside a fit's checkpoints. Out: the file, or one line that says why it is not there. A full
disk must not end days of training over a table of samples, nor keep a checkpoint from being written after it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from kosum_pl.errors import one_line, user_error_line
from kosum_pl.terminal import say


class LostFiles:
    """What could not be written so far; whatever is written later is lost no more.

    Attributes:
        reasons: Why, by what it was.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    @property
    def line(self) -> str:
        """All of it, and the first reason; empty where nothing is lost."""
        return _line(", ".join(self.reasons), next(iter(self.reasons.values()))) if self.reasons else ""

    @contextmanager
    def go_on(self, what: str) -> Iterator[None]:
        """Inside, a file that the system does not let be written is told of, once, and nothing else.

        Args:
            what: The file, or what it holds; the same name at the next try.
        """
        try:
            yield
        except OSError as error:
            reason = user_error_line(error) or one_line(str(error))
            if self.reasons.get(what) != reason:
                line = f"{_line(what, reason)}; checkpoints do not wait for it"
                say(f"kosum_pl: warning: {line}", file=sys.stderr, flush=True)
            self.reasons[what] = reason
        else:
            self.reasons.pop(what, None)


def _line(what: str, reason: str) -> str:
    return f"{what} could not be written: {reason}"
