"""The one atomic write, and the folders that a command makes and takes away again.

In: a path and text, or a folder. Out: a file that appears under its name whole or not at all; which folders were
made. A command that failed deletes what it made itself and nothing else: not the folder it was started in, and no
empty one that was there before. Only the standard library is imported.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from typing import IO


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[str]]:
    """Open a text file for writing that appears under its name only when it is complete.

    Args:
        path: File to write or to replace; its folder is made.

    Yields:
        A UTF-8 text file; line ends are written as given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        # mkstemp makes private files; a run's files are as readable as any other the user writes.
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Write or replace a UTF-8 text file in one step; see `open_atomically`."""
    with open_atomically(path) as file:
        file.write(text)


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file so that the target is the old one or the whole new one."""
    temporary = target.with_name(f".{target.name}-{os.getpid()}")
    shutil.copyfile(source, temporary)
    os.replace(temporary, target)


def make_folders(folder: Path) -> tuple[Path, ...]:
    """Make a folder and those above it that are missing.

    Args:
        folder: May be there already.

    Returns:
        Absolute paths of those that this call made, deepest last; none where another process was faster.
    """
    missing = list(takewhile(lambda path: not path.is_dir(), (folder, *folder.parents)))
    made: list[Path] = []
    try:
        for path in reversed(missing):
            with suppress(FileExistsError):  # another process was faster
                path.mkdir()
                made.append(path.resolve())
        folder.mkdir(exist_ok=True)  # raises where a file has this name
    except OSError:
        remove_empty_folders(made)
        raise
    return tuple(made)


def remove_empty_folders(folders: Sequence[Path]) -> None:
    """Take folders away, the last first, up to one that is not empty.

    Args:
        folders: What `make_folders` returned.
    """
    with suppress(OSError):  # not empty: others have written there
        for folder in reversed(folders):
            folder.rmdir()


def make_free_folder(folder: Path) -> Path:
    """Make a folder, in an existing one, under a name that nothing has: one that is taken gets a number.

    Args:
        folder: As it should be called.

    Returns:
        The new, empty folder; no two callers get the same.
    """
    number = 1
    while True:
        free = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        try:
            free.mkdir()
        except FileExistsError:
            number += 1
        else:
            return free


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
