"""The splits of a config → rows and ids, within limits that are given or measured on train.

In: files by split and how they are read, limits and what becomes of long rows, and, once it is known, an encoder. Out:
of each split its rows and their ids, of train only the rows that it keeps, and lines that say what was measured and
dropped. Everything is cached, so that a second look does not tokenize again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from kosum_pl.data import DialogueTable
from kosum_pl.encode.example import Encoder
from kosum_pl.encode.limit_rules import LimitRules
from kosum_pl.encode.limits import TokenLimits
from kosum_pl.encode.long_rows import LongRowRules, LongRows
from kosum_pl.encode.table import EncodedTable, encode_table
from kosum_pl.errors import memory_for

_REFERENCED: Final = ("train", "val", "test")


class SplitEncoder:
    """Rows and ids of each split.

    Args:
        read: Reads a source; takes it, `needs_summary` and `split`.
        files: What the config names for each split; None for nothing.
        rules: Limits, or how they are measured.
        long_rows: What becomes of rows that are longer.
        cache_dir: Folder of encoded rows.

    Attributes:
        dropped: Rows that train lost for their length, by part, once train was loaded.
        limit_lines: How limits were measured, a line each; empty before, and where none is.
    """

    def __init__(
        self,
        read: Callable[..., DialogueTable],
        files: Mapping[str, Any],
        *,
        rules: LimitRules,
        long_rows: LongRowRules,
        cache_dir: Path,
    ) -> None:
        self.dropped: list[LongRows] = []
        self.limit_lines: list[str] = []
        self._read, self._files, self._cache_dir = read, files, cache_dir
        self._rules, self._long_rows = rules, long_rows
        self._limits = None if rules.unknown else rules.largest
        self._encoder: Encoder | None = None
        self._max_positions: Callable[[], int | None] = lambda: None

    def bind(self, encoder: Encoder, *, max_positions: Callable[[], int | None]) -> None:
        """Borrow an encoder; `max_positions` is asked where a limit is measured, and is None for no such bound."""
        self._encoder, self._max_positions = encoder, max_positions

    @property
    def encoder(self) -> Encoder:
        """What renders the prompts; there once `bind` was called."""
        assert self._encoder is not None, "the data module has no encoder yet: call bind, or attach a Trainer"
        return self._encoder

    @property
    def limits(self) -> TokenLimits:
        """Limits of every row; those that are `auto` are measured on train, once, at the first look.

        Raises:
            ValueError: There is no train to measure them on, or the model's positions leave no room.
        """
        if self._limits is None:
            train = self._encode(self._read_to_measure(), "train", self._rules.unlimited)
            self._limits, self.limit_lines = self._rules.measure(
                train, is_causal=self.encoder.is_causal, max_positions=self._max_positions()
            )
        return self._limits

    @property
    def measured_limits(self) -> dict[str, int]:
        """Numbers of the limits that are `auto`, by name; empty before they are measured, and where none is."""
        found = {} if self._limits is None else asdict(self._limits)
        return {name: found[name] for name in self._rules.unknown if name in found}

    @property
    def largest_limits(self) -> TokenLimits:
        """The limits where they are numbers or measured already, else their ceilings.

        Raises:
            ValueError: One of them has no ceiling.
        """
        limits = self._limits or self._rules.largest
        if limits is None:
            raise ValueError(
                f"{self._rules.unknown_names}: auto is measured on train, which was not read; "
                "give a number or {auto_up_to: NUMBER}"
            )
        return limits

    def load(self, split: str) -> tuple[DialogueTable, EncodedTable]:
        """Rows of one split that the config names, and their ids; of train, only the rows that it keeps.

        Raises:
            ValueError: A row cannot be used, or is too long where that is an error.
        """
        limits, whole = self.limits, None
        table = self._read(self._files[split], needs_summary=split in _REFERENCED, split=split)
        if split == "train" and (self._rules.unknown or self._long_rows.is_dropping):
            # Rows that are to be dropped may be too long to be encoded within the limits at all.
            whole = self._encode(table, split, self._rules.unlimited)
            table, whole, self.dropped = self._long_rows.drop(table, whole, limits=limits)
        encoded = self._encode(table, split, limits, whole=whole)
        self._long_rows.check(encoded, split=split, limits=limits)
        return table, encoded

    def lines(self, split: str, encoded: EncodedTable) -> list[str]:
        """What encoding did to a loaded split; which rows train lost, or which ones stay although they are long."""
        lines = [encoded.counts.line(split)]
        if split == "train":
            return lines + [long.dropped_line for long in self.dropped]
        return lines + self._long_rows.check(encoded, split=split, limits=self.limits)

    def _read_to_measure(self) -> DialogueTable:
        """Train, to measure limits on."""
        what, remedy = f"{self._rules.unknown_names}: auto is measured on train", "give a number, or a run's checkpoint"
        if not self._files["train"]:
            raise ValueError(f"{what}, and data.train_file is not set; set it, {remedy}")
        try:
            return self._read(self._files["train"], needs_summary=True, split="train")
        except (ValueError, FileNotFoundError) as error:
            raise ValueError(f"{what}: {error}; or {remedy}") from error

    def _encode(
        self, table: DialogueTable, split: str, limits: TokenLimits, *, whole: EncodedTable | None = None
    ) -> EncodedTable:
        with memory_for(f"data.{split}_file was encoded"):
            return encode_table(
                table,
                encoder=self.encoder,
                limits=limits,
                with_summary=split in _REFERENCED,
                cache_dir=self._cache_dir,
                whole=whole,
            )
