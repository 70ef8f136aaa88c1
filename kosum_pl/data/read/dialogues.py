"""Data arguments → a `DialogueTable`: find the files, look for a stored table, else parse and store.

In: what the user wrote under `data:`. Out: rows on disk, checked and cleaned, or one line that says what to repair. The
same contents and settings are parsed once: the second start opens what the first one stored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, TextIO

from kosum_pl.data.clean import find_step, make_cleaner
from kosum_pl.data.read.columns import Columns, ExistingColumns, match_columns
from kosum_pl.data.read.formats import find_reader, load_hub_dataset, open_hub_rows, open_rows
from kosum_pl.data.read.parse import RowParser
from kosum_pl.data.read.row import DROP_HINT, RawRow, RowError, RowStream, locate
from kosum_pl.data.read.seen_ids import SeenIds
from kosum_pl.data.read.source import Source, SourceArgument, find_sources, hash_source
from kosum_pl.data.stored import load_or_write
from kosum_pl.data.table import REJECTED_FILE, DialogueTable, row_features, stored_row
from kosum_pl.errors import memory_for
from kosum_pl.types import Dialogue

SCHEMA_VERSION: Final = 2
"""Part of every fingerprint; raised whenever the same file would give other rows than before."""

_PACKAGE: Final = Path(__file__).resolve().parents[2]

OnBadRows = Literal["error", "drop"]


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What shapes a row beside the files; all of it is in the fingerprint."""

    columns: Columns
    cleaning: tuple[str, ...]
    on_bad_rows: OnBadRows
    needs_summary: bool
    split: str


def read_dialogues(
    source: SourceArgument,
    *,
    columns: Columns,
    cleaning: Sequence[str],
    on_bad_rows: OnBadRows,
    needs_summary: bool,
    cache_dir: Path,
    split: str,
) -> DialogueTable:
    """Reads one split.

    Args:
        source: A file, a folder of shards, a hub id `owner/name[:split]`, `{"path": ..., "weight": ...}`, or a list.
        columns: Names of the columns.
        cleaning: Names of the cleaning steps.
        on_bad_rows: `error` stops at the first bad row; `drop` leaves bad rows out and keeps them with their reasons.
        needs_summary: Whether a row without a reference is a bad row.
        cache_dir: Folder for stored tables.
        split: train, val, test or predict; for messages, the hub's split and made-up ids.

    Returns:
        The rows in the order of the files. Weights do not change them: see `DialogueTable.row_weights`.

    Raises:
        ValueError: A file or, with `error`, a row cannot be used; one line with location, reason and remedy.
    """
    if on_bad_rows not in ("error", "drop"):
        raise ValueError(f"data.on_bad_rows is '{on_bad_rows}'; set it to error or drop")
    clean, argument = make_cleaner(cleaning), f"data.{split}_file"
    options = _Options(
        columns=columns, cleaning=tuple(cleaning), on_bad_rows=on_bad_rows, needs_summary=needs_summary, split=split
    )
    sources = find_sources(source, argument=argument)
    hub = {
        entry.name: load_hub_dataset(entry.name, split=split, argument=argument)
        for entry in sources
        if entry.format == "hub"
    }

    def write(rows: Any, folder: Path) -> Mapping[str, Any]:
        with (folder / REJECTED_FILE).open("w", encoding="utf-8", errors="backslashreplace") as rejected:
            writer = _RowWriter(options, clean=clean, rows=rows, rejected=rejected, folder=folder)
            rows_per_source = [writer.write(entry, hub.get(entry.name)) for entry in sources]
        return {"rows_per_source": rows_per_source, **writer.summary()}

    hashes = [hub[entry.name]._fingerprint if entry.name in hub else hash_source(entry) for entry in sources]
    fingerprint = _fingerprint(hashes, options, _plugin_hashes(sources, cleaning))
    folder = Path(cache_dir) / f"rows-{fingerprint}"
    return DialogueTable(
        load_or_write(folder, features=row_features(), write=write, other_files=(REJECTED_FILE,)),
        fingerprint=fingerprint,
        files=[name for entry in sources for name in entry.file_names],
        weights=[entry.weight for entry in sources],
    )


def _fingerprint(hashes: Sequence[str], options: _Options, plugin_hashes: Sequence[str]) -> str:
    settings = asdict(options)
    if options.columns.example_id is not None:
        # The split's name is in a row only where ids are made of it; else two splits may share a stored table.
        del settings["split"]
    text = json.dumps([SCHEMA_VERSION, list(hashes), settings, *plugin_hashes], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _plugin_hashes(sources: Sequence[Source], cleaning: Sequence[str]) -> list[str]:
    """Hashes of the files in which plugged-in readers and cleaning steps stand: an edited one gives other rows."""
    functions: list[object] = [find_reader(entry.format) for entry in sources if entry.format != "hub"]
    functions += map(find_step, cleaning)
    codes = [getattr(function, "__code__", None) for function in functions]
    files = {Path(code.co_filename) for code in codes if code is not None}
    plugged_in = (file for file in files if _PACKAGE not in file.resolve().parents)
    return sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in plugged_in)


class _RowWriter:
    """Passes the rows of a split from their files to an `ArrowWriter`, and bad ones to a file of JSON lines."""

    def __init__(
        self, options: _Options, *, clean: Callable[[str], str], rows: Any, rejected: TextIO, folder: Path
    ) -> None:
        self._options = options
        self._clean = clean
        self._rows = rows
        self._rejected = rejected
        self._folder = folder
        self._num_files = self._num_written = self._num_rejected = 0
        self._first_problem = ""
        self._existing: list[ExistingColumns] = []

    def summary(self) -> dict[str, Any]:
        """What is known of the table without opening its rows."""
        return {
            "num_rows": self._num_written,
            "num_rejected": self._num_rejected,
            "profile_columns": list(dict.fromkeys(name for found in self._existing for name in found.profile)),
            "absent_columns": list(dict.fromkeys(name for found in self._existing for name in found.absent)),
        }

    def write(self, source: Source, dataset: Any) -> int:
        """Write all rows of a source, `dataset` where it comes from the hub; how many are in order."""
        num_written, num_rejected, self._first_problem = self._num_written, self._num_rejected, ""
        # Ids are unique within one entry: an augmented copy of a file may keep the ids of its original.
        with memory_for(f"{source.name} was read"), SeenIds(self._folder) as seen:
            for file, stream in _open_streams(source, dataset):
                with memory_for(f"{file} was read"):
                    self._write_file(file, stream, seen)
        num_written, num_rejected = self._num_written - num_written, self._num_rejected - num_rejected
        if not num_written and not num_rejected:
            raise ValueError(f"{source.name}: the file is empty: it has no rows; add some, or check the path")
        if not num_written:
            raise ValueError(
                f"{source.name}: dropping bad rows left nothing of {num_rejected}; the first: {self._first_problem}"
            )
        return num_written

    def _write_file(self, file: str, stream: RowStream, seen: SeenIds) -> None:
        parser: RowParser | None = None
        for number, raw in enumerate(stream.rows, start=1):
            location = locate(file, number, raw.line)
            parser = parser or self._parser(file, stream, raw, location)
            row_number = self._num_written + self._num_rejected + 1
            try:
                dialogue = parser.parse(raw, default_id=f"{self._options.split}_{row_number}")
                self._check_id(dialogue, seen, location)
            except RowError as error:
                self._reject(error, raw, number=number, location=location)
            else:
                self._rows.write(stored_row(dialogue))
                self._num_written += 1
        self._num_files += 1

    def _parser(self, file: str, stream: RowStream, first: RawRow, location: str) -> RowParser:
        options = self._options
        if first.error and not stream.columns:
            # Not one of the first rows can be read, so the missing columns are not what is wrong.
            raise ValueError(first.error.line(location).removesuffix(DROP_HINT))
        existing = match_columns(options.columns, stream.columns or (), file=file, needs_summary=options.needs_summary)
        self._existing.append(existing)
        return RowParser(
            columns=options.columns, existing=existing, needs_summary=options.needs_summary, clean=self._clean
        )

    def _check_id(self, dialogue: Dialogue, seen: SeenIds, location: str) -> None:
        column = self._options.columns.example_id
        if column is not None and (first := seen.add(dialogue.example_id, location)) is not None:
            reason = f"column '{column}' repeats the id '{dialogue.example_id}' of {first}"
            raise RowError(reason, "give every row an id of its own", column=column)

    def _reject(self, error: RowError, raw: RawRow, *, number: int, location: str) -> None:
        line = error.line(location)
        if self._options.on_bad_rows == "error":
            raise ValueError(line) from None
        self._first_problem = self._first_problem or line.removesuffix(DROP_HINT)
        record = {
            "file": self._num_files,
            "row": number,
            "line": raw.line,
            "column": error.column,
            "reason": error.reason,
            "content": dict(raw.values),
        }
        # A byte that is no UTF-8 stands in the text as a lone surrogate, which becomes a JSON escape of itself.
        self._rejected.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
        self._num_rejected += 1


def _open_streams(source: Source, dataset: Any) -> Iterator[tuple[str, RowStream]]:
    if dataset is not None:
        yield source.name, open_hub_rows(dataset)
    for file in source.files:
        yield str(file), open_rows(file, source.format)
