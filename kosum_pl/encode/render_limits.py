"""Limits on the seconds and the memory that a user's template may take.

In: a block that runs what a file says. Out: the block's end, or an error. A template is a program: two nested loops of
a line each can take longer than a night, and `'a' * 10**10` more memory than there is. The sandbox that it runs in
bounds a single `range` alone, and filters, formats and joins write as much as operators do: the system bounds them all.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_STATUS: Final = Path("/proc/self/statm")


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


@contextmanager
def memory_limit(num_bytes: int) -> Iterator[None]:
    """Let a block take so many more bytes of address space than the process has; no limit where none can be set.

    The limit is the process's: the block should be over in no time, and nothing else run beside it that wants as much.

    Raises:
        MemoryError: From wherever the block was.
    """
    used = _used_bytes()
    if used is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    import resource  # not on every system; where /proc is, it is

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    ceilings = [limit for limit in (soft, hard, used + num_bytes) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(ceilings), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _used_bytes() -> int | None:
    """Address space of the process; None where the system does not say."""
    try:
        num_pages = int(_STATUS.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    import resource

    return num_pages * resource.getpagesize()
