"""Stored rows → `Dialogue` values, one at a time.

In: a table that `read_dialogues` has stored. Out: `DialogueTable`, which holds no text itself: rows lie in a
memory-mapped Arrow file and become Python objects only when asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.data.stored import StoredRows
from kosum_pl.types import Dialogue, Message

REJECTED_FILE: Final = "rejected.jsonl"
"""Bad rows that were dropped, beside the rows in order."""

_BATCH_ROWS: Final = 512


def row_features() -> Any:
    """Columns of a stored row."""
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
        }
    )


def stored_row(dialogue: Dialogue) -> dict[str, Any]:
    """A dialogue as `row_features` has it."""
    profile = [{"name": name, "value": value} for name, value in dialogue.profile.items()]
    return {**asdict(dialogue), "profile": profile}


class DialogueTable:
    """The rows of one split, N of them, on disk.

    Args:
        fingerprint: Hash of the files' contents and of every setting that shapes a row.
        files: Name of each file read, by its number.
        weights: Weight of each entry of the data argument.
    """

    def __init__(self, stored: StoredRows, *, fingerprint: str, files: Sequence[str], weights: Sequence[float]) -> None:
        self.fingerprint = fingerprint
        self.files = tuple(files)
        self._folder = stored.folder
        self._summary = stored.summary
        self._rows = stored.rows
        self._weights = tuple(weights)
        self._added: dict[str, tuple[str, ...]] = {}
        self._kept: NDArray[np.int64] = np.arange(len(self._rows))
        self._dropped: tuple[dict[str, Any], ...] = ()

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> Dialogue:
        """Row `index`, from 0; a negative one is an error, because samplers give it a meaning of its own."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of a table of {len(self)} rows")
        return self._dialogue(self._rows[int(self._kept[index])], int(index))

    def __iter__(self) -> Iterator[Dialogue]:
        """All rows in the order of the files, read in batches."""
        for start, batch in self._batches(self._rows):
            for i in range(len(batch["text"])):
                yield self._dialogue({name: cells[i] for name, cells in batch.items()}, start + i)

    def _batches(self, rows: Any) -> Iterator[tuple[int, Mapping[str, Sequence[Any]]]]:
        for start in range(0, len(self), _BATCH_ROWS):
            yield start, rows[self._kept[start : start + _BATCH_ROWS].tolist()]

    def without(self, reasons: Mapping[int, str]) -> DialogueTable:
        """The table without some rows, by index; with the reason of each, and its content, they join `rejected`."""
        assert not self._added, "rows go before columns come: a column has a value for every row"
        table = copy(self)
        table._kept = np.delete(self._kept, sorted(reasons))
        table._dropped = (
            *self._dropped,
            *({"reason": reason, "content": stored_row(self[row])} for row, reason in sorted(reasons.items())),
        )
        table.fingerprint = hashlib.sha256(f"{self.fingerprint}{sorted(reasons)}".encode()).hexdigest()
        return table

    def with_profile(self, column: str, *, values: Sequence[str]) -> DialogueTable:
        """The same rows with one more profile column, kept in memory: a value a row, (N,), empty where a row lacks it.

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
        added = {name: values[index] for name, values in self._added.items() if values[index]}
        return Dialogue(
            example_id=row["example_id"],
            text=row["text"],
            references=tuple(row["references"]),
            profile={pair["name"]: pair["value"] for pair in row["profile"]} | added,
            slots=tuple(row["slots"]),
            messages=tuple(Message(**turn) for turn in row["messages"]),
        )

    @property
    def num_rejected(self) -> int:
        """Bad rows that were dropped."""
        return int(self._summary["num_rejected"])

    @property
    def rejected(self) -> list[dict[str, Any]]:
        """Dropped rows: file, row, line, column, reason and content of each; of rows in order reason and content."""
        with (self._folder / REJECTED_FILE).open(encoding="utf-8") as stream:
            records = [json.loads(line) for line in stream]
        return [*({**record, "file": self.files[record["file"]]} for record in records), *self._dropped]

    @property
    def profile_columns(self) -> tuple[str, ...]:
        """Profile columns that the files have, and those that were added."""
        return (*self._summary["profile_columns"], *self._added)

    @property
    def absent_columns(self) -> tuple[str, ...]:
        """Columns that the config names and some file lacks, none of them needed."""
        return tuple(self._summary["absent_columns"])

    @property
    def row_weights(self) -> NDArray[np.float64] | None:
        """Weight of each row, (N,); None where all weigh 1."""
        if all(weight == 1 for weight in self._weights):
            return None
        weights = np.repeat(np.asarray(self._weights, dtype=np.float64), self._summary["rows_per_source"])
        return np.asarray(weights[self._kept])

    def texts(self) -> Iterator[str]:
        """All dialogues' texts, without their other columns."""
        for _, batch in self._batches(self._rows.select_columns("text")):
            yield from batch["text"]


def spread_rows(num_all: int, num_wanted: int) -> list[int]:
    """Indices of at most so many rows, spread evenly over all.

    Example:
        >>> spread_rows(10, 4), spread_rows(2, 4)
        ([0, 3, 6, 9], [0, 1])
    """
    return list(dict.fromkeys(int(index) for index in np.linspace(0, num_all - 1, min(num_all, num_wanted)).round()))


def count_leakage(train: DialogueTable, validation: DialogueTable) -> int:
    """How many rows of `validation` have a dialogue that stands in `train` too.

    Texts are compared by their hash, with all white space alike. Memory: 16 bytes and overhead a row of `validation`.
    """
    wanted = Counter(_hash_text(text) for text in validation.texts())
    found = {digest for text in train.texts() if (digest := _hash_text(text)) in wanted}
    return sum(wanted[digest] for digest in found)


def _hash_text(text: str) -> bytes:
    return hashlib.blake2b(" ".join(text.split()).encode(), digest_size=16).digest()
