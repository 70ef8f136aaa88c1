"""What disks, full volumes and kills do to a file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

_seconds = itertools.count(1)


def overwrite(path: Path, data: bytes) -> None:
    """Put other bytes into a file, at a time that no file system takes for the time before."""
    before = path.stat().st_mtime_ns
    path.write_bytes(data)
    time = before + next(_seconds) * 1_000_000_000
    os.utime(path, ns=(time, time))


def damages(content: bytes, *, num_flips: int, num_cuts: int) -> Iterator[bytes]:
    """The content with one bit flipped at places spread from its first byte to its last, and cut at several lengths."""
    last = len(content) - 1
    for number in range(num_flips):
        place = round(last * number / max(num_flips - 1, 1))
        yield content[:place] + bytes([content[place] ^ (1 << number % 8)]) + content[place + 1 :]
    for number in range(num_cuts):
        yield content[: round(last * number / max(num_cuts - 1, 1))]
