"""Folders that a command makes, and takes away again.

In: the path of a folder. Out: which folders were made for it. It exists so that a command that failed deletes what it
made itself and nothing else: not the folder it was started in, and no empty one that was there before.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
