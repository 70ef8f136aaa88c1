"""Files of the cache: sealed when they are written, checked before they are used, built again where they are damaged.

In: a path named after everything that decides what lies there, and how that is built. Out: the same as if it were built
now. A seal is a length and a CRC-32, which finds every flip of up to 32 bits in a row and all but one in four milliards
of the others; the file's name is what tells contents apart. A damaged file is never an error and never used: one line
says which it was. Processes that need the same one wait for the first that builds it. Only the standard library is
imported.
"""

from __future__ import annotations

import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from kosum_pl.files import replacing
from kosum_pl.locks import FileLock, take_lock
from kosum_pl.terminal import say

_SEAL: Final = b"kosum_pl cache 1"
_CHUNK_BYTES: Final = 1 << 22
_ABSENT: Final = (FileNotFoundError, NotADirectoryError)
_UNREADABLE: Final = (ValueError, LookupError, TypeError, EOFError, zipfile.BadZipFile)

_Content = TypeVar("_Content")
_checksums: Final[dict[tuple[int, int, int, int], int]] = {}


class DamagedError(Exception):
    """A file of the cache is not what was written; the message is the reason, in a few words."""


def load_or_build(path: Path, *, build: Callable[[], bytes], read: Callable[[bytes], _Content]) -> _Content:
    """What a file of the cache holds; built and written now where there is none, or a damaged one.

    A cache that cannot be written costs time at every start and nothing else.

    Args:
        path: The file, named after everything that decides its content.
        build: Makes the content.
        read: Makes a value of it, the same whether it was built now or long ago; may raise `ValueError` and the like.
    """
    with suppress(DamagedError, *_ABSENT):
        return _load(path, read)
    with building(path):
        try:
            return _load(path, read)
        except DamagedError as damage:
            say_damaged(path, damage)
        except _ABSENT:
            pass
        content = build()
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(seal(content))
        except OSError as error:
            _say(f"{path}: cannot be written ({error.strerror}), and is built again at the next start")
    return read(content)


def seal(content: bytes) -> bytes:
    r"""The content behind one line that says its checksum and its length.

    Example:
        >>> seal(b"topics")
        b'kosum_pl cache 1 91f64639 6\ntopics'
    """
    return b"%s %08x %d\n%s" % (_SEAL, zlib.crc32(content), len(content), content)


def unseal(data: bytes) -> bytes:
    """The content of what `seal` has made.

    Raises:
        DamagedError: It has no seal, or is not what was sealed.
    """
    head, _, content = data.partition(b"\n")
    name, *numbers = head.rsplit(b" ", 2)
    if name != _SEAL or len(numbers) != 2:
        raise DamagedError("has no seal: its beginning is damaged, or an older version wrote it")
    if numbers[1] != b"%d" % len(content):
        raise DamagedError("is damaged: its length is wrong")
    if numbers[0] != b"%08x" % zlib.crc32(content):
        raise DamagedError("is damaged: its checksum is wrong")
    return content


def read_sealed(path: Path) -> bytes:
    """The content of a sealed file.

    Raises:
        DamagedError: It cannot be read, or is not what was written.
        FileNotFoundError: There is none.
    """
    try:
        data = path.read_bytes()
    except _ABSENT:
        raise
    except OSError as error:
        raise DamagedError(f"cannot be read ({error.strerror})") from None
    return unseal(data)


def seals_of(folder: Path) -> dict[str, list[int]]:
    """Length and CRC-32 of every file in a folder, by name."""
    return {path.name: [path.stat().st_size, _checksum(path)] for path in sorted(folder.iterdir())}


def check_seals(folder: Path, seals: Mapping[str, list[int]]) -> None:
    """Hold the files of a folder against what `seals_of` said; each is read once in a process, while it is the same.

    Raises:
        DamagedError: One of them is not what was written.
    """
    for name, (size, checksum) in seals.items():
        path = folder / name
        try:
            if path.stat().st_size != size:
                raise DamagedError(f"is damaged: the length of {name} is wrong")
            if _checksum(path) != checksum:
                raise DamagedError(f"is damaged: the checksum of {name} is wrong")
        except OSError as error:
            raise DamagedError(f"is damaged: {name} cannot be read ({error.strerror})") from None


@contextmanager
def building(path: Path) -> Iterator[bool]:
    """While one process builds a file or folder of the cache the others wait here, and find it afterwards.

    Where the file system has no locks, or cannot be written, nobody waits: each builds its own, and the last one stays.

    Yields:
        Whether it is certain that no other process builds it.
    """
    lock_path, lock = path.with_name(f".{path.name}.lock"), None
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = take_lock(lock_path, waits=False) or _wait(lock_path)
    try:
        yield lock is not None and lock.is_certain
    finally:
        if lock is not None:
            lock.release()


def say_damaged(path: Path, reason: DamagedError) -> None:
    """Tell the user of a damaged file or folder of the cache, in one line."""
    _say(f"{path} {reason}; it is built again")


def _wait(path: Path) -> FileLock | None:
    _say(f"another process builds {path.name.removeprefix('.').removesuffix('.lock')} in {path.parent}; waiting for it")
    return take_lock(path, waits=True)


def _load(path: Path, read: Callable[[bytes], _Content]) -> _Content:
    content = read_sealed(path)
    try:
        return read(content)
    except _UNREADABLE as error:  # sealed whole, and yet not what this version writes
        raise DamagedError(f"holds something else ({type(error).__name__})") from None


def _checksum(path: Path) -> int:
    """CRC-32 of a file, which is read once as long as it is the same one, also under another name."""
    status = path.stat()
    key = status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
    if key not in _checksums:
        checksum, buffer = 0, bytearray(_CHUNK_BYTES)
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                checksum = zlib.crc32(memoryview(buffer)[:size], checksum)
        _checksums[key] = checksum
    return _checksums[key]


def _say(line: str) -> None:
    say(f"kosum_pl: warning: {line}", file=sys.stderr, flush=True)
