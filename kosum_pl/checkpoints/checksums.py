"""Whether a checkpoint file holds what was written into it.

In: an archive of torch's. Out: nothing, or what is wrong. torch writes a checksum of every part and does not look at
it when it reads: a flipped bit in a weight would be trained on.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from kosum_pl.errors import one_line

_PIECE = 1 << 24


def check_bytes(path: Path) -> None:
    """Compare every part of the archive with its checksum; a file that stays what it is is read once.

    Raises:
        ValueError: A part is damaged or missing, or the file is no such archive; the message does not name the file.
    """
    try:
        status = path.stat()
        damaged = _damaged(path.absolute(), status.st_ino, status.st_mtime_ns, status.st_size)
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, ValueError, NotImplementedError) as error:
        reason = one_line(str(error))[:120]
        raise ValueError(
            f"it is no checkpoint, or only a part of one ({reason}); give a checkpoint that fit has written"
        ) from error
    if damaged:
        raise ValueError(f"it is damaged: {damaged} is not what was written; give another checkpoint of the run")


@lru_cache(maxsize=16)
def _damaged(path: Path, number: int, changed: int, size: int) -> str:
    with zipfile.ZipFile(path) as archive:
        return next(_damaged_parts(archive), "")


def _damaged_parts(archive: zipfile.ZipFile) -> Iterator[str]:
    for part in archive.infolist():
        try:
            with archive.open(part) as file:  # compares the checksum at the end
                while file.read(_PIECE):
                    pass
        except zipfile.BadZipFile:
            yield part.filename
