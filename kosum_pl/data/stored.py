"""Rows under a fingerprint → an Arrow file on disk, and back by memory map.

In: a folder named after everything that shapes its rows, and a function that writes them. Out: `StoredRows`. The folder
is either whole or not there: it is written under another name and renamed. Several ranks may write the same one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROWS_FILE: Final = "rows.arrow"
SUMMARY_FILE: Final = "summary.json"

_WRITER_BATCH_ROWS: Final = 512

WriteRows = Callable[[Any, Path], Mapping[str, Any]]
"""Writes rows to an `ArrowWriter` and other files into a folder; returns the table's summary, JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRows:
    """A whole table on disk: a memory-mapped `datasets.Dataset`, and what its writer noted."""

    folder: Path
    rows: Any
    summary: Mapping[str, Any]


def load_or_write(folder: Path, *, features: Any, write: WriteRows, other_files: tuple[str, ...] = ()) -> StoredRows:
    """The table in a folder named after its rows' fingerprint, written now where it is not there or not whole.

    `features` are a `datasets.Features`, `other_files` names of what `write` puts into the folder besides.

    Raises:
        ValueError: The cache folder cannot be written, or a damaged table has somebody else's files in it.
    """
    stored = _load(folder)
    if stored is None:
        _write(folder, features, write, {ROWS_FILE, SUMMARY_FILE, *other_files})
        stored = _load(folder)
        assert stored is not None
    return stored


def _load(folder: Path) -> StoredRows | None:
    summary = _load_summary(folder)
    if summary is None:
        return None
    from datasets import Dataset

    return StoredRows(folder=folder, rows=Dataset.from_file(str(folder / ROWS_FILE)), summary=summary)


def _load_summary(folder: Path) -> dict[str, Any] | None:
    try:
        summary: dict[str, Any] = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        is_whole = (folder / ROWS_FILE).stat().st_size == summary["num_bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return summary if is_whole else None


def _write(folder: Path, features: Any, write: WriteRows, own_files: set[str]) -> None:
    from datasets.arrow_writer import ArrowWriter

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ValueError(
            f"{folder.parent}: cannot write the cache here ({error.strerror}); set data.cache_dir"
        ) from None
    with work as name:
        draft = Path(name) / "table"
        draft.mkdir()
        path = draft / ROWS_FILE
        with ArrowWriter(features=features, path=str(path), writer_batch_size=_WRITER_BATCH_ROWS) as rows:
            summary = write(rows, draft)
            rows.finalize()
        values = {**summary, "num_bytes": path.stat().st_size}
        (draft / SUMMARY_FILE).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        try:
            os.replace(draft, folder)
        except OSError:
            # The folder exists: another rank was faster, or an older table was damaged later.
            if _load_summary(folder) is None:
                _check_replaceable(folder, own_files)
                os.replace(folder, draft.with_name("damaged"))
                os.replace(draft, folder)


def _check_replaceable(folder: Path, own_files: set[str]) -> None:
    foreign = sorted({path.name for path in folder.iterdir()} - own_files)
    if foreign:
        raise ValueError(f"{folder} is a damaged table of the cache and holds {foreign[0]}; take the folder away")
