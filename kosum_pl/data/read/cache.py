"""Parsed rows → Arrow on disk, and back by memory map.

In: rows as they are parsed, and the fingerprint of everything that shaped them. Out: a folder `rows-<fingerprint>`
that is either whole or not there: it is written under another name and renamed. Several ranks may write the same one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kosum_pl.data.read.parse import Parsed
from kosum_pl.data.read.row import Problem, RawRow

ROWS_FILE: Final = "rows.arrow"
REJECTED_FILE: Final = "rejected.jsonl"
SUMMARY_FILE: Final = "summary.json"

_WRITER_BATCH_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSummary:
    """What is known of a table without opening its rows.

    Attributes:
        num_rows: Rows in order.
        num_rejected: Bad rows that were dropped.
        num_with_references: Rows with at least one reference.
        rows_per_source: Rows in order of each entry of the data argument.
        profile_columns: Profile columns of any file.
        absent_columns: Columns the config names and some file lacks.
        num_bytes: Size of the Arrow file, to tell a whole one from a cut one.
    """

    num_rows: int
    num_rejected: int
    num_with_references: int
    rows_per_source: tuple[int, ...]
    profile_columns: tuple[str, ...]
    absent_columns: tuple[str, ...]
    num_bytes: int


def load_summary(folder: Path) -> TableSummary | None:
    """Summary of a stored table; None where the table is not there or not whole."""
    try:
        values: dict[str, Any] = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        summary = TableSummary(**values)
        is_whole = (folder / ROWS_FILE).stat().st_size == summary.num_bytes
    except (OSError, ValueError, TypeError):
        return None
    return summary if is_whole else None


@contextmanager
def new_table(folder: Path) -> Iterator[TableWriter]:
    """A writer whose rows become `folder` when the block, which must call `finish`, ends without an error.

    Raises:
        ValueError: The cache folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-", ignore_cleanup_errors=True)
    except OSError as error:
        raise ValueError(
            f"{folder.parent}: cannot write the cache here ({error.strerror}); set data.cache_dir"
        ) from None
    with work as name:
        table = Path(name) / "table"
        table.mkdir()
        with closing(TableWriter(table)) as writer:
            yield writer
        _publish(table, folder)


def _publish(table: Path, folder: Path) -> None:
    try:
        os.replace(table, folder)
    except OSError:
        # The folder exists: another rank was faster, or an older table was damaged later.
        if load_summary(folder) is None:
            _check_replaceable(folder)
            os.replace(folder, table.with_name("damaged"))
            os.replace(table, folder)


def _check_replaceable(folder: Path) -> None:
    """Refuse to replace a folder that holds more than a table's own files."""
    foreign = sorted({path.name for path in folder.iterdir()} - {ROWS_FILE, REJECTED_FILE, SUMMARY_FILE})
    if foreign:
        raise ValueError(f"{folder} is a damaged table of the cache and holds {foreign[0]}; take the folder away")


class TableWriter:
    """Writes rows and rejected rows of one table, in batches.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        from datasets.arrow_writer import ArrowWriter

        self._folder = folder
        path = str(folder / ROWS_FILE)
        self._rows = ArrowWriter(features=_features(), path=path, writer_batch_size=_WRITER_BATCH_ROWS)
        self._rejected = (folder / REJECTED_FILE).open("w", encoding="utf-8", errors="backslashreplace")
        self._num_rows = self._num_rejected = self._num_with_references = 0

    @property
    def num_rows(self) -> int:
        """Rows in order written so far."""
        return self._num_rows

    def write(self, parsed: Parsed, raw: RawRow, *, file: int) -> None:
        """Adds a row in order; `file` is the number of its file."""
        self._rows.write(
            {
                "example_id": parsed.example_id,
                "text": parsed.text,
                "references": list(parsed.references),
                "profile": [{"name": name, "value": value} for name, value in parsed.profile.items()],
                "slots": list(parsed.slots),
                "messages": [{"role": message.role, "content": message.content} for message in parsed.messages],
                "file": file,
                "row": raw.row,
                "line": raw.line,
            }
        )
        self._num_rows += 1
        self._num_with_references += bool(parsed.references)

    def reject(self, problem: Problem, raw: RawRow, *, file: int) -> None:
        """Adds a bad row with its reason."""
        record = {
            "file": file,
            "row": raw.row,
            "line": raw.line,
            "column": problem.column,
            "reason": problem.reason,
            "content": dict(raw.values),
        }
        # A byte that is no UTF-8 stands in the text as a lone surrogate, which becomes a JSON escape of itself.
        self._rejected.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
        self._num_rejected += 1

    def finish(
        self, *, rows_per_source: list[int], profile_columns: tuple[str, ...], absent_columns: tuple[str, ...]
    ) -> None:
        """Writes what is still held back, and the summary."""
        self._rows.finalize()
        summary = TableSummary(
            num_rows=self._num_rows,
            num_rejected=self._num_rejected,
            num_with_references=self._num_with_references,
            rows_per_source=tuple(rows_per_source),
            profile_columns=profile_columns,
            absent_columns=absent_columns,
            num_bytes=(self._folder / ROWS_FILE).stat().st_size,
        )
        (self._folder / SUMMARY_FILE).write_text(json.dumps(asdict(summary), ensure_ascii=False), encoding="utf-8")

    def close(self) -> None:
        """Closes the files; a table that was not finished is not whole."""
        self._rejected.close()
        self._rows.close()


def _features() -> Any:
    from datasets import Features, List, Value

    text = Value("string")
    return Features(
        {
            "example_id": text,
            "text": text,
            "references": List(text),
            "profile": List({"name": text, "value": text}),
            "slots": List(text),
            "messages": List({"role": text, "content": text}),
            "file": Value("int32"),
            "row": Value("int64"),
            "line": Value("int64"),
        }
    )


def open_rows_file(folder: Path) -> Any:
    """The rows of a whole table as a memory-mapped `datasets.Dataset`."""
    from datasets import Dataset

    return Dataset.from_file(str(folder / ROWS_FILE))


def read_rejected(folder: Path, files: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Rejected rows, their file by name."""
    with (folder / REJECTED_FILE).open(encoding="utf-8") as stream:
        for line in stream:
            record: Mapping[str, Any] = json.loads(line)
            yield {**record, "file": files[record["file"]]}
