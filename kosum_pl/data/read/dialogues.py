"""Data arguments → a `DialogueTable`: find the files, look for a stored table, else parse and store.

In: what the user wrote under `data:`. Out: rows on disk, checked and cleaned, or one line that says what to repair. The
same contents and settings are parsed once: the second start opens what the first one stored.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from kosum_pl.data.clean import make_cleaner
from kosum_pl.data.read.cache import TableWriter, load_summary, new_table
from kosum_pl.data.read.columns import Columns, ExistingColumns, match_columns
from kosum_pl.data.read.formats import load_hub_dataset, open_hub_rows, open_rows
from kosum_pl.data.read.parse import Parsed, RowParser
from kosum_pl.data.read.row import DROP_HINT, Problem, RawRow, RowStream, describe, place_of
from kosum_pl.data.read.seen_ids import SeenIds
from kosum_pl.data.read.source import Source, find_sources, hash_source
from kosum_pl.data.table import DialogueTable

SCHEMA_VERSION: Final = 1
"""Part of every fingerprint; raised whenever the same file would give other rows than before."""

OnBadRows = Literal["error", "drop"]

_ARGUMENTS: Final[Mapping[str, str]] = {"validation": "val"}


@dataclass(frozen=True, kw_only=True)
class _Options:
    """What shapes a row beside the files; all of it is in the fingerprint."""

    columns: Columns
    cleaning: tuple[str, ...]
    on_bad_rows: OnBadRows
    needs_summary: bool
    split: str


def read_dialogues(
    source: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]],
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
        ValueError: A file or, with `error`, a row cannot be used; one line with place, reason and remedy.
    """
    if on_bad_rows not in ("error", "drop"):
        raise ValueError(f"data.on_bad_rows is '{on_bad_rows}'; set it to error or drop")
    make_cleaner(cleaning)
    argument = f"data.{_ARGUMENTS.get(split, split)}_file"
    options = _Options(
        columns=columns, cleaning=tuple(cleaning), on_bad_rows=on_bad_rows, needs_summary=needs_summary, split=split
    )
    sources = find_sources(source, argument=argument)
    hub = {
        entry.name: load_hub_dataset(entry.name, split=_ARGUMENTS.get(split, split), argument=argument)
        for entry in sources
        if entry.format == "hub"
    }
    hashes = [hub[entry.name]._fingerprint if entry.name in hub else hash_source(entry) for entry in sources]
    fingerprint = _fingerprint(hashes, options)
    folder = Path(cache_dir) / f"rows-{fingerprint}"
    summary = load_summary(folder)
    if summary is None:
        with new_table(folder) as writer:
            _Reader(options, writer, folder.parent).read(sources, hub)
        summary = load_summary(folder)
        assert summary is not None
    return DialogueTable(
        folder,
        summary=summary,
        fingerprint=fingerprint,
        files=[place for entry in sources for place in entry.places],
        weights=[entry.weight for entry in sources],
    )


def _fingerprint(hashes: Sequence[str], options: _Options) -> str:
    settings = asdict(options)
    if options.columns.example_id is not None:
        # The split's name is in a row only where ids are made of it; else two splits may share a stored table.
        del settings["split"]
    text = json.dumps([SCHEMA_VERSION, list(hashes), settings], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


class _Reader:
    """Passes all rows of a split from their files to a writer."""

    def __init__(self, options: _Options, writer: TableWriter, work_folder: Path) -> None:
        self._options = options
        self._writer = writer
        self._work_folder = work_folder
        self._clean: Callable[[str], str] = make_cleaner(options.cleaning)
        self._num_read = 0
        self._num_files = 0
        self._first_problem = ""
        self._existing: list[ExistingColumns] = []

    def read(self, sources: Sequence[Source], hub: Mapping[str, Any]) -> None:
        """Read all sources in order, and finish the table; `hub` holds the loaded data sets by source name."""
        rows_per_source: list[int] = []
        for source in sources:
            num_before = self._writer.num_rows
            self._read_source(source, hub.get(source.name))
            rows_per_source.append(self._writer.num_rows - num_before)
        profiles = dict.fromkeys(name for existing in self._existing for name in existing.profile)
        absent = dict.fromkeys(name for existing in self._existing for name in existing.absent)
        self._writer.finish(
            rows_per_source=rows_per_source, profile_columns=tuple(profiles), absent_columns=tuple(absent)
        )

    def _read_source(self, source: Source, dataset: Any) -> None:
        num_read, num_written, self._first_problem = self._num_read, self._writer.num_rows, ""
        # Ids are unique within one entry: an augmented copy of a file may keep the ids of its original.
        with SeenIds(self._work_folder) as seen:
            for place, stream in _open_streams(source, dataset):
                self._read_stream(place, stream, seen)
        if self._num_read == num_read:
            raise ValueError(f"{source.name}: the file is empty: it has no rows; add some, or check the path")
        if self._writer.num_rows == num_written:
            num_bad = self._num_read - num_read
            raise ValueError(
                f"{source.name}: dropping bad rows left nothing of {num_bad}; the first: {self._first_problem}"
            )

    def _read_stream(self, place: str, stream: RowStream, seen: SeenIds) -> None:
        options, file = self._options, self._num_files
        self._num_files += 1
        rows = iter(stream.rows)
        first = next(rows, None)
        if first is None:
            return
        if first.problem and not stream.columns:
            # Not one of the first rows can be read, so the missing columns are not what is wrong.
            line = describe(first.problem, place_of(place, first.row, first.line))
            raise ValueError(line.removesuffix(DROP_HINT))
        existing = match_columns(options.columns, stream.columns, file=place, needs_summary=options.needs_summary)
        self._existing.append(existing)
        parser = RowParser(
            columns=options.columns, existing=existing, needs_summary=options.needs_summary, clean=self._clean
        )
        for raw in itertools.chain([first], rows):
            self._read_row(raw, parser, seen, place, file)

    def _read_row(self, raw: RawRow, parser: RowParser, seen: SeenIds, file_name: str, file: int) -> None:
        self._num_read += 1
        where = place_of(file_name, raw.row, raw.line)
        parsed = parser.parse(raw, default_id=f"{self._options.split}_{self._num_read}")
        problem = parsed if isinstance(parsed, Problem) else self._check_id(parsed, seen, where)
        if isinstance(parsed, Parsed) and problem is None:
            self._writer.write(parsed, raw, file=file)
            return
        assert problem is not None
        line = describe(problem, where)
        if self._options.on_bad_rows == "error":
            raise ValueError(line)
        self._first_problem = self._first_problem or line.removesuffix(DROP_HINT)
        self._writer.reject(problem, raw, file=file)

    def _check_id(self, parsed: Parsed, seen: SeenIds, where: str) -> Problem | None:
        column = self._options.columns.example_id
        if column is None or (before := seen.add(parsed.example_id, where)) is None:
            return None
        reason = f"column '{column}' repeats the id '{parsed.example_id}' of {before}"
        return Problem(column=column, reason=reason, remedy="give every row an id of its own")


def _open_streams(source: Source, dataset: Any) -> Iterator[tuple[str, RowStream]]:
    if source.format == "hub":
        yield source.name, open_hub_rows(dataset)
    for file in source.files:
        yield str(file), open_rows(file, source.format)
