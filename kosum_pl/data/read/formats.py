"""The one place that knows which reader serves which format.

In: a file, or a hub id. Out: a `RowStream`. Parquet comes through pyarrow and the hub through `datasets`, both in
batches, so that no format needs memory that grows with its rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kosum_pl.data.read.delimited import open_delimited
from kosum_pl.data.read.json_rows import column_names, open_json, open_json_lines
from kosum_pl.data.read.row import RawRow, RowStream

_BATCH_ROWS = 256
_HUB_SPLITS: Final[Mapping[str, str]] = {"val": "validation", "predict": "test"}


def open_rows(path: Path, file_format: str) -> RowStream:
    """Opens one file of a format out of `source.FORMATS`.

    Raises:
        ValueError: The file as a whole cannot be read; a bad row is part of the stream instead.
    """
    return _OPENERS[file_format](path)


def load_hub_dataset(name: str, *, split: str, argument: str) -> Any:
    """A data set of the hub, as `datasets` keeps it in its own cache.

    Args:
        name: `owner/name` or `owner/name:split`.
        split: Ours: train, val, test or predict; names the hub's split where `name` does not.
        argument: Name of the data argument, for the message.

    Raises:
        ValueError: No such data set, or none within reach.
    """
    import datasets

    repository, _, wanted = name.partition(":")
    wanted = wanted or _HUB_SPLITS.get(split, split)
    try:
        return datasets.load_dataset(repository, split=wanted)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name}: no such file or folder, and the hub gives no split '{wanted}' of a data set of this name "
            f"({reason}); check {argument}"
        ) from None


def open_hub_rows(dataset: Any) -> RowStream:
    """Rows of a loaded hub data set."""
    rows = (RawRow(row=row, line=None, values=values) for row, values in enumerate(dataset, start=1))
    return RowStream(columns=tuple(dataset.column_names), rows=rows)


def _open_parquet(path: Path) -> RowStream:
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: not a Parquet file ({reason}); write it again or change its ending") from None
    rows = _parquet_rows(file)
    first = next(rows, None)
    if first is None:
        return RowStream(columns=tuple(file.schema_arrow.names), rows=rows)
    # The first row tells the columns inside a struct; the schema has those that are null in it.
    names = dict.fromkeys((*file.schema_arrow.names, *column_names(first.values)))
    return RowStream(columns=tuple(names), rows=itertools.chain([first], rows))


def _parquet_rows(file: Any) -> Iterator[RawRow]:
    batches = (batch.to_pylist() for batch in file.iter_batches(batch_size=_BATCH_ROWS))
    for row, values in enumerate(itertools.chain.from_iterable(batches), start=1):
        yield RawRow(row=row, line=None, values=values)


_OPENERS: Final[Mapping[str, Callable[[Path], RowStream]]] = {
    "csv": lambda path: open_delimited(path, delimiter=","),
    "tsv": lambda path: open_delimited(path, delimiter="\t"),
    "json": open_json,
    "jsonl": open_json_lines,
    "parquet": _open_parquet,
}
