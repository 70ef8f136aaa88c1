"""Rows under a fingerprint → an Arrow file on disk, and back by memory map.

In: a folder named after everything that shapes its rows, and a function that writes them. Out: `StoredRows`. The folder
is either whole or not there: it is written under another name and renamed; `summary.json` seals itself and every other
file, and is checked before a row is read. Several ranks may want the same one: the first writes, the others wait.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kosum_pl.cache import DamagedError, building, check_seals, read_sealed, say_damaged, seal, seals_of

ROWS_FILE: Final = "rows.arrow"
SUMMARY_FILE: Final = "summary.json"

_WRITER_BATCH_ROWS: Final = 512
# Where the file system knows no locks, another process may be changing places with our table.
_TRIES: Final = 3
_SECONDS_BETWEEN: Final = 0.1
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

WriteRows = Callable[[Any, Path], Mapping[str, Any]]
"""Writes rows to an `ArrowWriter` and other files into a folder; returns the table's summary, JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """A whole table on disk: a memory-mapped `datasets.Dataset`, and what its writer noted."""

    folder: Path
    rows: Any
    summary: Mapping[str, Any]


def load_or_write(folder: Path, *, features: Any, write: WriteRows, other_files: tuple[str, ...] = ()) -> StoredRows:
    """The table in a folder named after its rows' fingerprint, written now where it is not there or is damaged.

    `features` are a `datasets.Features`, `other_files` names of what `write` puts into the folder besides.

    Raises:
        ValueError: The cache folder cannot be written, or a damaged table has somebody else's files in it.
    """
    own_files = {ROWS_FILE, SUMMARY_FILE, *other_files}
    with suppress(FileNotFoundError, DamagedError):
        return _load(folder)
    with building(folder) as is_alone:
        if is_alone:
            _remove_leftovers(folder)
        try:
            return _load(folder)
        except FileNotFoundError:
            pass
        except DamagedError as damage:
            _check_replaceable(folder, own_files)
            say_damaged(folder, damage)
        _write(folder, features, write, own_files)
        for _ in range(_TRIES - 1):
            with suppress(FileNotFoundError, DamagedError):
                return _load(folder)
            time.sleep(_SECONDS_BETWEEN)
        return _load(folder)


def _load(folder: Path) -> StoredRows:
    summary = _load_summary(folder)
    from datasets import Dataset

    return StoredRows(folder=folder, rows=Dataset.from_file(str(folder / ROWS_FILE)), summary=summary)


def _load_summary(folder: Path) -> dict[str, Any]:
    """What the writer noted, after every file was checked.

    Raises:
        DamagedError: A file is not what was written.
        FileNotFoundError: There is no such table.
    """
    if not os.path.exists(folder):
        raise FileNotFoundError(folder)
    try:
        summary: dict[str, Any] = json.loads(read_sealed(folder / SUMMARY_FILE))
    except (FileNotFoundError, NotADirectoryError):
        raise DamagedError(f"is damaged: {SUMMARY_FILE} is missing") from None
    except DamagedError as damage:
        raise DamagedError(f"is damaged: {SUMMARY_FILE} {damage}") from None
    check_seals(folder, summary["files"])
    return summary


def _write(folder: Path, features: Any, write: WriteRows, own_files: set[str]) -> None:
    from datasets.arrow_writer import ArrowWriter

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(dir=folder.parent, prefix=_draft_prefix(folder), ignore_cleanup_errors=True)
    except OSError as error:
        raise _unwritable(folder.parent, error) from None
    with work as name:
        draft = Path(name) / "table"
        path = draft / ROWS_FILE
        try:
            draft.mkdir()
            with ArrowWriter(features=features, path=str(path), writer_batch_size=_WRITER_BATCH_ROWS) as rows:
                summary = write(rows, draft)
                rows.finalize()
            values = {**summary, "files": seals_of(draft)}
            (draft / SUMMARY_FILE).write_bytes(seal(json.dumps(values, ensure_ascii=False).encode()))
        except (OSError, sqlite3.OperationalError) as error:
            if not _is_full(error):  # reading the rows' source is its own affair
                raise
            raise _unwritable(folder.parent, error) from None
        try:
            _put_in_place(draft, folder, own_files)
        except OSError as error:
            raise _unwritable(folder, error) from None


def _draft_prefix(folder: Path) -> str:
    """How names of a table's drafts begin on this machine."""
    machine = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f".writing-{folder.name}-{machine}-"


def _remove_leftovers(folder: Path) -> None:
    """Take away drafts of a table whose writers were killed, which nobody else does.

    Whoever writes a table holds its lock, which is ours now. Another machine may not see the locks of this one, and its
    drafts stay.
    """
    for draft in folder.parent.glob(f"{glob.escape(_draft_prefix(folder))}*"):
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(draft: Path, folder: Path, own_files: set[str]) -> None:
    """Give the draft its name, unless another process was faster, and take away what is damaged there."""
    for number in range(_TRIES):
        with suppress(OSError):  # the folder exists
            os.replace(draft, folder)
            return
        try:
            _load_summary(folder)
        except FileNotFoundError:
            continue
        except DamagedError:
            with suppress(FileNotFoundError):
                _check_replaceable(folder, own_files)
                os.replace(folder, draft.with_name(f"damaged-{number}"))
        else:
            return
    os.replace(draft, folder)


def _is_full(error: Exception) -> bool:
    """Whether the disk has no room; ids of rows that were seen lie in a database beside the rows."""
    if isinstance(error, sqlite3.Error):
        return error.sqlite_errorcode == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in _FULL


def _unwritable(folder: Path, error: Exception) -> ValueError:
    reason = getattr(error, "strerror", None) or error
    return ValueError(f"{folder}: cannot write the cache here ({reason}); set data.cache_dir")


def _check_replaceable(folder: Path, own_files: set[str]) -> None:
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file where the cache has a folder; take it away")
    foreign = sorted({path.name for path in folder.iterdir()} - own_files)
    if foreign:
        raise ValueError(f"{folder} is a damaged table of the cache and holds {foreign[0]}; take the folder away")
