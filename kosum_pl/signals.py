"""Signals that ask the program to stop → one exception, raised where nothing is half done.

In: SIGINT (Ctrl-C), SIGTERM, SIGHUP, SIGUSR1 (a cluster's warning before the time limit). Out: `Stopped`, at once or,
where work has asked for it, at its next `check`. Only the standard library is imported.

A signal that the program was started to ignore (`nohup`, a shell's background job) stays ignored.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
_received: signal.Signals | None = None
_is_deferred = False
_owner = os.getpid()


class Stopped(BaseException):
    """A signal asked the program to stop; the message says what was kept, and how to go on.

    No `Exception`, so that nothing on the way takes it for a failure; no `KeyboardInterrupt`, which Lightning ends with
    exit status 1.
    """

    def __init__(self, number: signal.Signals, message: str = "") -> None:
        super().__init__(message)
        self.number = number

    @property
    def exit_status(self) -> int:
        """What a shell reports of a process that this signal ended: 130, 143, 129 or 138."""
        return 128 + self.number


@contextmanager
def stopping() -> Iterator[None]:
    """Turn the signals into `Stopped` while a command runs; does nothing outside the main thread."""
    global _received, _is_deferred, _owner
    _received, _is_deferred, _owner = None, False, os.getpid()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    catch()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _received, _is_deferred = None, False


def catch() -> None:
    """Take the signals, also from a library that has taken them in between; ignored ones stay ignored."""
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _handle)
        _let_children_end()


def defer(is_deferred: bool) -> None:
    """Note signals from now on, so that they raise at the next `check` alone; or let them raise at once again."""
    global _is_deferred
    _is_deferred = is_deferred


def received() -> signal.Signals | None:
    """The first signal that came, if any."""
    return _received


def note(number: int) -> None:
    """Take over a signal that another process of the same run has received."""
    global _received
    _received = _received or signal.Signals(number)


def check() -> None:
    """Raise `Stopped` where a signal has come."""
    if _received is not None:
        raise Stopped(_received)


def _let_children_end() -> None:
    """Once a signal has come, take no notice of children that end: it was sent to the whole group.

    torch raises where a loader's worker has ended, in the middle of an update as well, whose weights could not be kept.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    if not callable(handler) or getattr(handler, "is_patient", False):
        return

    def patient(number: int, frame: FrameType | None) -> None:
        if _received is None:
            handler(number, frame)

    patient.is_patient = True  # type: ignore[attr-defined]
    signal.signal(signal.SIGCHLD, patient)


def _handle(number: int, frame: FrameType | None) -> None:
    global _received
    came = signal.Signals(number)
    if _received is not None:
        # Clusters send one signal after the other, and a launcher repeats them; Ctrl-C again is a person in a hurry.
        if came is signal.SIGINT and _received is signal.SIGINT:
            if os.getpid() == _owner:
                _say("left at once, before anything more was saved")
            os._exit(128 + number)
        return
    _received = came
    if not _is_deferred:
        raise Stopped(came)
    if os.getpid() == _owner:  # workers of a loader have the handler too
        _say(f"{came.name}: stopping after this batch")


def _say(line: str) -> None:
    # Not print: a handler runs in the middle of anything, of another print too.
    os.write(2, f"\nkosum_pl: {line}\n".encode())
