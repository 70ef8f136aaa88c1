"""Stored rows → `Dialogue` values, one at a time.

In: a folder of `cache.py`. Out: `DialogueTable`, which holds no text itself: rows lie in a memory-mapped Arrow file and
become Python objects only when asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosum_pl.data.read.cache import TableSummary, open_rows_file, read_rejected
from kosum_pl.data.read.row import place_of
from kosum_pl.types import Dialogue, Message

_BATCH_ROWS = 512


class DialogueTable:
    """The rows of one split, N of them, on disk.

    Args:
        folder: Folder of a whole table.
        summary: What was noted when it was written.
        fingerprint: Hash of the files' contents and of every setting that shapes a row.
        files: Name of each file read, by its number.
        weights: Weight of each entry of the data argument.
    """

    def __init__(
        self, folder: Path, *, summary: TableSummary, fingerprint: str, files: Sequence[str], weights: Sequence[float]
    ) -> None:
        self.fingerprint = fingerprint
        self.files = tuple(files)
        self._folder = folder
        self._summary = summary
        self._weights = tuple(weights)
        self._rows = open_rows_file(folder)
        self._added: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return self._summary.num_rows

    def __getitem__(self, index: int) -> Dialogue:
        """Row `index`, from 0; a negative one is an error, because samplers give it a meaning of its own."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of a table of {len(self)} rows")
        return self._dialogue(self._rows[int(index)], index)

    def __iter__(self) -> Iterator[Dialogue]:
        """All rows in the order of the files, read in batches."""
        for start in range(0, len(self), _BATCH_ROWS):
            batch = self._rows[start : start + _BATCH_ROWS]
            for i in range(len(batch["text"])):
                yield self._dialogue({name: cells[i] for name, cells in batch.items()}, start + i)

    def with_profile(self, column: str, *, values: Sequence[str]) -> DialogueTable:
        """The same rows with one more profile column, held in memory.

        Args:
            column: Its name.
            values: A value for every row, (N,); a row whose value is empty lacks the column.

        Raises:
            ValueError: The rows have a column of this name.
        """
        assert len(values) == len(self), f"{len(values)} values for {len(self)} rows"
        if column in self.profile_columns:
            raise ValueError(
                f"{self.files[0]}: has a profile column '{column}' of its own; take it out of data.columns.profile"
            )
        table = copy(self)
        table._added = {**self._added, column: tuple(values)}
        return table

    def _dialogue(self, row: Mapping[str, Any], index: int) -> Dialogue:
        added = {name: values[int(index)] for name, values in self._added.items() if values[int(index)]}
        return _dialogue_of(row, added)

    @property
    def num_rejected(self) -> int:
        """Bad rows that were dropped."""
        return self._summary.num_rejected

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """Dropped rows: file, row, line, column, reason and content of each."""
        return list(self.iter_rejected())

    def iter_rejected(self) -> Iterator[dict[str, Any]]:
        """`rejected`, one at a time."""
        return read_rejected(self._folder, self.files)

    @property
    def num_with_references(self) -> int:
        """Rows that have at least one reference."""
        return self._summary.num_with_references

    @property
    def has_references(self) -> bool:
        """Whether every row has a reference, so that the split can be scored."""
        return self.num_with_references == len(self)

    @property
    def profile_columns(self) -> tuple[str, ...]:
        """Profile columns that the files have, and those that were added."""
        return (*self._summary.profile_columns, *self._added)

    @property
    def absent_columns(self) -> tuple[str, ...]:
        """Columns that the config names and some file lacks, none of them needed."""
        return self._summary.absent_columns

    @property
    def row_weights(self) -> NDArray[np.float64] | None:
        """Weight of each row, (N,); None where all weigh 1."""
        if all(weight == 1 for weight in self._weights):
            return None
        return np.repeat(np.asarray(self._weights, dtype=np.float64), self._summary.rows_per_source)

    def texts(self) -> Iterator[str]:
        """All dialogues' texts, without their other columns."""
        for chunk in self._rows.data.column("text").chunks:
            yield from chunk.to_pylist()

    def place(self, index: int) -> str:
        """Where a row stands in its file, for messages."""
        row = self._rows[int(index)]
        return place_of(self.files[row["file"]], row["row"], row["line"])


def count_leakage(train: DialogueTable, validation: DialogueTable) -> int:
    """How many rows of `validation` have a dialogue that stands in `train` too.

    Texts are compared by their hash, with all white space alike. Memory: 16 bytes and overhead a row of `validation`.
    """
    wanted = Counter(_hash_text(text) for text in validation.texts())
    found = {digest for text in train.texts() if (digest := _hash_text(text)) in wanted}
    return sum(wanted[digest] for digest in found)


def write_rejected(table: DialogueTable, path: str | Path) -> None:
    """Writes the dropped rows as JSON Lines, atomically; an earlier file of this name is replaced.

    Args:
        table: The table they were dropped from.
        path: Usually `rejected.jsonl` in the run directory; its folder is made.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            for record in table.iter_rejected():
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _dialogue_of(row: Mapping[str, Any], added: Mapping[str, str]) -> Dialogue:
    return Dialogue(
        example_id=row["example_id"],
        text=row["text"],
        references=tuple(row["references"]),
        profile={pair["name"]: pair["value"] for pair in row["profile"]} | dict(added),
        slots=tuple(row["slots"]),
        messages=tuple(Message(role=turn["role"], content=turn["content"]) for turn in row["messages"]),
    )


def _hash_text(text: str) -> bytes:
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
