"""The one place that knows which reader serves which format.

In: a file and the name of its format, or a hub id. Out: a `RowStream` whose columns are known. Parquet comes through
pyarrow and the hub through `datasets`, both in batches, so that no format needs memory that grows with its rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from kosum_pl.data.read.delimited import read_csv, read_tsv
from kosum_pl.data.read.json_rows import read_json, read_json_lines
from kosum_pl.data.read.row import DataReader, RawRow, RowStream
from kosum_pl.extensions import find_extension

_NUM_PEEKED: Final = 100
_BATCH_ROWS: Final = 256
_HUB_SPLITS: Final[Mapping[str, str]] = {"val": "validation", "predict": "test"}


def read_parquet(path: Path) -> RowStream:
    """Rows of a Parquet file."""
    import pyarrow  # type: ignore[import-untyped]
    import pyarrow.parquet  # type: ignore[import-untyped]

    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: not a Parquet file ({reason}); write it again or change its ending") from None
    batches = (batch.to_pylist() for batch in file.iter_batches(batch_size=_BATCH_ROWS))
    return RowStream(rows=(RawRow(values=values) for values in itertools.chain.from_iterable(batches)))


READERS: Final[dict[str, DataReader]] = {
    "csv": read_csv,
    "tsv": read_tsv,
    "json": read_json,
    "jsonl": read_json_lines,
    "parquet": read_parquet,
}
"""Reader of each format by its name, which is the ending of its files too; a source's `format` may name a plug-in's."""


def find_reader(
    file_format: str, *, argument: str = "data"
) -> Callable[[Path], RowStream | Iterable[Mapping[str, Any]]]:
    """The reader of a format: ours or a plug-in's, which may give plain mappings; a `ValueError` if unknown."""
    reader: Callable[[Path], RowStream | Iterable[Mapping[str, Any]]] = find_extension(
        "readers", file_format, shipped=READERS, argument=argument
    )
    return reader


def open_rows(path: Path, file_format: str) -> RowStream:
    """Opens one file of a format.

    Raises:
        ValueError: The file as a whole cannot be read; a bad row is part of the stream instead.
    """
    rows = find_reader(file_format)(path)
    if not isinstance(rows, RowStream):
        rows = RowStream(rows=(RawRow(values=values) for values in rows))
    return _with_columns(rows)


def load_hub_dataset(name: str, *, split: str, argument: str) -> Any:
    """A data set of the hub, `owner/name` or `owner/name:split`, as `datasets` keeps it in its own cache.

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
    return _with_columns(RowStream(rows=(RawRow(values=values) for values in dataset)))


def column_names(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Names of a row's columns; those inside an object are reached by a dot.

    Example:
        >>> list(column_names({"id": 1, "input": {"conversation": []}}))
        ['id', 'input', 'input.conversation']
    """
    for name, value in values.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from column_names(value, f"{prefix}{name}.")


def _with_columns(stream: RowStream) -> RowStream:
    if stream.columns is not None:
        return stream
    # A writer that leaves out what is null gives rows of different keys, so the first row alone does not say it.
    rows = iter(stream.rows)
    peeked = list(itertools.islice(rows, _NUM_PEEKED))
    names = dict.fromkeys(name for row in peeked if not row.error for name in column_names(row.values))
    return RowStream(rows=itertools.chain(peeked, rows), columns=tuple(names))
