"""Locks between processes: one holder of a file, and none once the holder has ended.

In: the path of a lock file. Out: a `FileLock`, or None where another process has it. The system takes a lock away when
its holder ends, `kill -9` included; a file that is left behind then locks nobody out. Some file systems know no locks,
which `FileLock.is_certain` says. Only the standard library is imported.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_MAX_BYTES: Final = 4096
_BUSY: Final = (errno.EWOULDBLOCK, errno.EAGAIN)
_held: Final[set[FileLock]] = set()


class FileLock:
    """A lock that this process has; see `take_lock`.

    Attributes:
        path: The lock file.
        is_certain: Whether the system keeps others out; where it cannot, the file alone says that somebody is here.
        is_new: Whether there was no such file before.
    """

    def __init__(self, path: Path, descriptor: int, *, is_certain: bool, is_new: bool) -> None:
        self.path = path
        self.is_certain = is_certain
        self.is_new = is_new
        self._descriptor = descriptor
        _held.add(self)

    def read(self) -> str:
        """What the file says: nothing, or what a holder before has left."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, _MAX_BYTES).decode("utf-8", "replace")

    def write(self, text: str) -> None:
        """Say something to whoever is kept out."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, text.encode())

    def release(self, *, keeps_file: bool = False) -> None:
        """Let go, once; the file vanishes first, so that nobody finds one that holds nothing."""
        if self not in _held:
            return
        if not keeps_file:
            with suppress(OSError):
                self.path.unlink()
        self._close()

    def _close(self) -> None:
        _held.remove(self)
        os.close(self._descriptor)


def take_lock(path: Path, *, waits: bool) -> FileLock | None:
    """The lock of a file, which is made; None where another process has it and `waits` is false.

    Raises:
        OSError: The file can be neither made nor opened.
    """
    while True:
        descriptor, is_new = _open(path)
        try:
            is_locked = _lock(descriptor, waits=waits)
            # A holder takes its file away: whoever waited for that one has a lock on nothing.
            is_there = is_locked is False or _is_same_file(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        if is_locked is not False and is_there:
            return FileLock(path, descriptor, is_certain=is_locked is True, is_new=is_new)
        os.close(descriptor)
        if is_locked is False:
            return None


def _open(path: Path) -> tuple[int, bool]:
    """The file, and whether it was made now."""
    while True:
        with suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), True
        with suppress(FileNotFoundError):  # its holder let go in between
            return os.open(path, os.O_RDWR), False


def _lock(descriptor: int, *, waits: bool) -> bool | None:
    """Whether it is locked now; None where that cannot be done here."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
    except ImportError:  # a system that has none
        return None
    except OSError as error:
        return False if not waits and error.errno in _BUSY else None
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _forget_inherited() -> None:
    """A child that outlives its parent, such as a worker of a loader, must not keep the parent's locks."""
    for lock in tuple(_held):
        lock._close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_inherited)
