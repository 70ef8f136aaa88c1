"""Encoded rows on disk: tokenized once, memory-mapped from then on.

In: a `DialogueTable`, an encoder and limits. Out: an `EncodedTable` of `EncodedExample`s under a fingerprint of
everything that decides the ids, so that a second start does not tokenize again and a changed prompt never meets
old ids.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features, Sequence, Value
from datasets.arrow_writer import ArrowWriter
from torch.utils.data import Dataset as TorchDataset

from kosum_pl.data import DialogueTable
from kosum_pl.data.stored import load_or_write
from kosum_pl.encode.collate import CollateItem
from kosum_pl.encode.example import Encoder
from kosum_pl.encode.limits import TokenLimits
from kosum_pl.types import IGNORE_INDEX, EncodedExample

_FORMAT_VERSION = 1
_FEATURES = Features(
    {
        "example_id": Value("string"),
        "input_ids": Sequence(Value("int32")),
        "labels": Sequence(Value("int32")),
        "prompt_length": Value("int32"),
        "truncated_tokens": Value("int32"),
        "cut_tokens": Value("int32"),
        "num_supervised": Value("int32"),
    }
)


@dataclass(frozen=True, kw_only=True)
class EncodingCounts:
    """What encoding did to a split: how many dialogues lost turns, and how many summaries were cut at their limit."""

    num_rows: int
    num_truncated: int
    truncated_tokens: int
    num_cut: int
    supervised_tokens: int

    def line(self, split: str) -> str:
        """One line for the screen.

        Example:
            >>> counts = dict(num_rows=3, num_truncated=1, truncated_tokens=20, num_cut=0, supervised_tokens=90)
            >>> EncodingCounts(**counts).line("train")
            'train: 3 rows, 90 supervised tokens; 1 dialogue truncated (20 tokens), 0 summaries cut'
        """
        dialogues = "dialogue" if self.num_truncated == 1 else "dialogues"
        truncated = f"{self.num_truncated:,} {dialogues} truncated ({self.truncated_tokens:,} tokens)"
        if not self.supervised_tokens:
            return f"{split}: {self.num_rows:,} rows; {truncated}"
        summaries = "summary" if self.num_cut == 1 else "summaries"
        supervised = f"{self.num_rows:,} rows, {self.supervised_tokens:,} supervised tokens"
        return f"{split}: {supervised}; {truncated}, {self.num_cut:,} {summaries} cut"


class EncodedTable:
    """Encoded rows of one split, R of them, over a memory-mapped Arrow file.

    Args:
        is_causal: Whether labels stand beside the inputs.
        kept: Of the file's rows those that the table has, (R,), in order; None for all.

    Attributes:
        lengths: Ids the loss's forward pass reads per row, (R,).
        num_supervised: Positions of each row with a loss, (R,).
        source_lengths: Tokens of each row's prompt before it was truncated, (R,).
        summary_lengths: Tokens of each row's summary before it was cut, the terminator included, (R,); 0 without one.
    """

    def __init__(self, rows: Dataset, *, is_causal: bool, kept: np.ndarray[Any, Any] | None = None) -> None:
        self._rows, self._is_causal = rows, is_causal
        self._kept: np.ndarray[Any, Any] = np.arange(len(rows)) if kept is None else kept
        columns = {name: rows.data.column(name).to_numpy() for name in _FEATURES if _FEATURES[name] == Value("int32")}
        columns |= {name: np.diff(_offsets(rows, name)) for name in ("input_ids", "labels")}
        columns = {name: values[self._kept] for name, values in columns.items()}
        self.prompt_lengths: np.ndarray[Any, Any] = columns["prompt_length"]
        self.num_supervised: np.ndarray[Any, Any] = columns["num_supervised"]
        self.lengths: np.ndarray[Any, Any] = columns["input_ids"]
        truncated, cut = columns["truncated_tokens"], columns["cut_tokens"]
        self.source_lengths: np.ndarray[Any, Any] = self.prompt_lengths + truncated
        # A causal model's labels begin with the prompt's.
        self.summary_lengths = np.maximum(columns["labels"] - self.prompt_lengths * is_causal, 0) + cut
        self.counts = EncodingCounts(
            num_rows=len(self),
            num_truncated=int((truncated > 0).sum()),
            truncated_tokens=int(truncated.sum()),
            num_cut=int((cut > 0).sum()),
            supervised_tokens=int(self.num_supervised.sum()),
        )

    def select(self, rows: np.ndarray[Any, Any]) -> EncodedTable:
        """The table of some of its rows, by their indices in it."""
        return EncodedTable(self._rows, is_causal=self._is_causal, kept=self._kept[rows])

    def __len__(self) -> int:
        return len(self._kept)

    def __getitem__(self, index: int) -> EncodedExample:
        """The row's example; ids are lists of ints."""
        row = self._rows[int(self._kept[index])]
        row.pop("num_supervised")
        return EncodedExample(**row)


class EncodedRows(TorchDataset[CollateItem]):
    """Rows of a split for a loader; a negative index `~i` is row `i`, not to be counted.

    Args:
        dialogues: The split's rows, where batches shall carry them; None while training.
        rows: The subset's indices in the split; None for all rows.
    """

    def __init__(
        self, encoded: EncodedTable, *, dialogues: DialogueTable | None, rows: np.ndarray[Any, Any] | None = None
    ) -> None:
        self._encoded = encoded
        self._dialogues = dialogues
        self._rows = rows

    def __len__(self) -> int:
        return len(self._encoded) if self._rows is None else len(self._rows)

    def __getitem__(self, index: int) -> CollateItem:
        position = ~index if index < 0 else index
        row = int(position if self._rows is None else self._rows[position])
        dialogue = None if self._dialogues is None else self._dialogues[row]
        return CollateItem(example=self._encoded[row], row=row, dialogue=dialogue, is_counted=index >= 0)


def _offsets(rows: Dataset, column: str) -> np.ndarray[Any, Any]:
    """Running total of a list column's lengths, (R + 1,), without reading its values."""
    chunks = rows.data.column(column).chunks
    lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in chunks]
    return np.concatenate([[0], np.cumsum(np.concatenate(lengths))])


def encode_table(
    table: DialogueTable,
    *,
    encoder: Encoder,
    limits: TokenLimits,
    with_summary: bool,
    cache_dir: Path,
    whole: EncodedTable | None = None,
) -> EncodedTable:
    """Encode a split, with labels where it has summaries, or find it encoded already under `cache_dir`.

    `whole` has the same rows without limits, where they are known: rows within the limits are taken from there.

    Raises:
        ValueError: A row has nothing to learn from, or the instructions alone exceed the limit.
    """
    key = repr((_FORMAT_VERSION, table.fingerprint, encoder.fingerprint, sorted(asdict(limits).items()), with_summary))

    def write_rows(rows: ArrowWriter, _: Path) -> dict[str, Any]:
        """Encode every row; nothing is to be said of the table beside them."""
        for index in range(len(table)):
            if (
                whole is not None
                and whole.source_lengths[index] <= limits.max_source_tokens
                and whole.summary_lengths[index] <= limits.max_summary_tokens
            ):
                example = whole[index]
            else:
                example = encoder.encode(table[index], limits=limits, with_summary=with_summary)
            num_supervised = sum(label != IGNORE_INDEX for label in example.labels)
            rows.write({**asdict(example), "num_supervised": num_supervised})
        return {}

    folder = cache_dir / "encoded" / sha256(key.encode()).hexdigest()[:32]
    rows = load_or_write(folder, features=_FEATURES, write=write_rows).rows
    return EncodedTable(rows, is_causal=encoder.is_causal)
