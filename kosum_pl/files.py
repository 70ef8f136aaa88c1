"""The one atomic write, reading of JSON and YAML, and the folders that a command makes and takes away again.

In: a path and what goes there, or a folder. Out: a file that appears under its name whole or not at all; what a file
holds; which folders were made. A command that failed deletes what it made itself and nothing else: not the folder it
was started in, and no empty one that was there before. Only the standard library and yaml are imported.
"""

from __future__ import annotations

import copy
import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import IO, Any

from kosum_pl.errors import UsageError, is_disk_full
from kosum_pl.plain_yaml import load_plain


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside, an error of a full disk that names no file names this one: a write to an open file does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
    except UsageError:
        raise
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write into, which takes the place of another in one step once it is complete.

    Args:
        path: File to write or to replace; its folder is made.

    Yields:
        An empty file beside it. When the block ends, it is on the disk before it gets its name, and its name before
        this returns, so that a power cut leaves the old file or the new one; after an error it is deleted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    temporary = Path(name)
    try:
        with writing(path):
            yield temporary
            _flush(temporary)
        # mkstemp makes private files; a run's files are as readable as any other the user writes.
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems know no such thing for a folder; the file is written all the same
        _flush(path.parent)


@contextmanager
def open_atomically(path: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text file for writing, as `replacing`; line ends are written as given."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file


def write_atomically(path: Path, text: str) -> None:
    """Write or replace a UTF-8 text file in one step."""
    with open_atomically(path) as file:
        file.write(text)


def write_json(path: Path, values: Any) -> None:
    """Write plain values as indented JSON in one step, Korean as it is; a number that is none becomes null."""
    write_atomically(path, json.dumps(_finite(values), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_json_lines(rows: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write one JSON object a line, in one step; a number that is none becomes null."""
    with open_atomically(path) as file:
        for row in rows:
            file.write(json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) + "\n")


def copy_atomically(source: Path, target: Path) -> None:
    """Copy a file so that the target is the old one or the whole new one."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def read_json(path: Path) -> Any:
    """What a JSON file holds, parsed once as long as it stays the same; a `ValueError` where it is no JSON."""
    return _read(path, json.loads)


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, parsed once as long as it stays the same; raises as `read_json`."""
    return _read(path, _parse_yaml)


def read_mapping(path: Path) -> dict[str, Any]:
    """A YAML or JSON mapping; empty where there is none that can be read."""
    try:
        values = read_json(path) if path.suffix == ".json" else read_yaml(path)
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; none where there is no file.

    Raises:
        ValueError: A line is no object; the message names file, line and what to do.
    """
    # Not splitlines: U+2028 stands unescaped inside JSON texts.
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    return [_object(line, where=f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()]


def make_folders(folder: Path) -> tuple[Path, ...]:
    """Make a folder and those above it that are missing.

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
    """Take away what `make_folders` returned, the last first, up to one that is not empty."""
    with suppress(OSError):  # not empty: others have written there
        for folder in reversed(folders):
            folder.rmdir()


def make_free_folder(folder: Path) -> Path:
    """Make a folder, in an existing one, under a name that nothing has: one that is taken gets a number.

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


def _object(line: bytes, *, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: no JSON ({error}); mend that line, or take it out") from error
    if not isinstance(row, dict):
        raise ValueError(f"{where}: the line holds no object; mend it, or take it out")
    return row


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _finite(value: Any) -> Any:
    """The same plain values with None for NaN and infinities, which JSON has no words for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, (list, tuple)) else value


def _read(path: Path, parse: Callable[[str], Any]) -> Any:
    # A file that was replaced is another one, with another number.
    status = path.stat()
    return copy.deepcopy(_parsed(path.absolute(), status.st_ino, status.st_mtime_ns, status.st_size, parse))


@lru_cache(maxsize=32)
def _parsed(path: Path, number: int, changed: int, size: int, parse: Callable[[str], Any]) -> Any:
    return parse(path.read_text(encoding="utf-8"))


def _parse_yaml(text: str) -> Any:
    return load_plain(text, where="line")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
