"""A limit on the seconds that a user's template may take.

In: a block that runs what a file says. Out: the block's end, or an error. A template is a program, and two nested
loops of a line each can take longer than a night; the sandbox that it runs in bounds a single `range` alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TookTooLongError(Exception):
    """The block was stopped."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop a block of Python after some seconds; no limit outside of the main thread, and where alarms are unknown.

    Raises:
        TookTooLongError: From wherever the block was.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: Any) -> None:
        raise TookTooLongError

    previous = signal.signal(signal.SIGALRM, stop)
    rest, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, rest, interval)
        signal.signal(signal.SIGALRM, previous)
