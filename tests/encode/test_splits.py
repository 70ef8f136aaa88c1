"""Splits within limits: what is read and tokenized, when, and how often."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import DEFAULT_CLEANING, Columns, read_dialogues
from kosum_pl.encode import Seq2SeqEncoder, SourcePrompt, load_tokenizer
from kosum_pl.encode.limit_rules import LimitRules
from kosum_pl.encode.long_rows import LongRowRules
from kosum_pl.encode.splits import SplitEncoder
from tests.data.tables import error_line


class Counting(Seq2SeqEncoder):
    """Notes which rows it encodes."""

    def __init__(self) -> None:
        super().__init__(load_tokenizer("demo:bart")[0], SourcePrompt())
        self.seen: list[str] = []

    def encode(self, dialogue: Any, **options: Any) -> Any:
        self.seen.append(dialogue.example_id)
        return super().encode(dialogue, **options)


@pytest.fixture
def make(tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]) -> Callable[..., SplitEncoder]:
    """Makes the splits of 30 training and 6 validation rows, all under the same cache."""
    files = cut_demo(30, 6)

    def make(
        encoder: Counting, *, source: object, summary: object = 64, long_rows: LongRowRules | None = None, **other: Any
    ) -> SplitEncoder:
        read = partial(
            read_dialogues,
            columns=Columns(),
            cleaning=DEFAULT_CLEANING,
            on_bad_rows="error",
            cache_dir=tmp_path / "cache",
        )
        splits = SplitEncoder(
            read,
            {"train": files["train_file"], "val": files["val_file"], "test": None} | other,
            rules=LimitRules.parse(max_source_tokens=source, max_summary_tokens=summary),
            long_rows=long_rows or LongRowRules(),
            cache_dir=tmp_path / "cache",
        )
        splits.bind(encoder, max_positions=lambda: None)
        return splits

    return make


def test_measuring_tokenizes_every_row_once(make: Callable[..., SplitEncoder]) -> None:
    encoder = Counting()
    splits = make(encoder, source="auto", summary="auto")
    assert splits.measured_limits == {}
    _, train = splits.load("train")
    assert (len(train), train.counts.num_truncated, train.counts.num_cut) == (30, 0, 0)
    assert sorted(encoder.seen) == sorted(f"train_{row}" for row in range(30))
    splits.load("val")
    assert len(encoder.seen) == 36
    # A second start reads the cache alone, and comes to the same numbers.
    again = make(encoder, source="auto", summary="auto")
    again.load("train")
    assert len(encoder.seen) == 36
    assert (again.limits, again.limit_lines) == (splits.limits, splits.limit_lines)


def test_only_rows_over_the_ceiling_are_tokenized_again(make: Callable[..., SplitEncoder]) -> None:
    encoder = Counting()
    splits = make(encoder, source={"auto_up_to": 128})
    _, train = splits.load("train")
    assert train.counts.num_truncated > 0
    assert len(encoder.seen) == 30 + train.counts.num_truncated


def test_numbers_need_no_train(make: Callable[..., SplitEncoder]) -> None:
    encoder = Counting()
    splits = make(encoder, source=96, train=None)
    assert splits.limits == splits.largest_limits
    assert splits.measured_limits == {}
    _, val = splits.load("val")
    assert splits.lines("val", val) == [val.counts.line("val")]
    assert len(encoder.seen) == 6


def test_auto_needs_train_or_for_its_largest_a_ceiling(make: Callable[..., SplitEncoder], tmp_path: Path) -> None:
    splits = make(Counting(), source={"auto_up_to": 200}, train=None)
    assert splits.largest_limits.max_source_tokens == 200
    line = "data.max_source_tokens: auto is measured on train, and data.train_file is not set; set it, give a number, "
    assert error_line(lambda: splits.load("val")) == f"{line}or a run's checkpoint"
    splits = make(Counting(), source="auto", summary="auto", train=str(tmp_path / "none.csv"))
    names = "data.max_source_tokens and data.max_summary_tokens: auto is measured on train"
    assert error_line(lambda: splits.largest_limits).startswith(f"{names}, which was not read; give a number")
    line = error_line(lambda: splits.limits)
    assert line.startswith(f"{names}: {tmp_path / 'none.csv'}: no such file")
    assert line.endswith("; or give a number, or a run's checkpoint")


def test_what_is_dropped_is_said_with_train_alone(make: Callable[..., SplitEncoder]) -> None:
    splits = make(Counting(), source=1024, summary=24, long_rows=LongRowRules(on_long_summary="drop"))
    _, train = splits.load("train")
    (dropped,) = splits.dropped
    assert len(train) == 30 - len(dropped.rows) < 30
    assert splits.lines("train", train) == [train.counts.line("train"), dropped.dropped_line]
    _, val = splits.load("val")
    assert len(val) == 6
    counts, kept = splits.lines("val", val)
    assert counts == val.counts.line("val")
    assert kept == (
        f"val: {val.counts.num_cut} summaries longer than data.max_summary_tokens=24 are cut, which matters for the "
        "loss alone; only train drops rows"
    )


def test_memory_that_runs_out_while_rows_are_encoded_names_the_split(make: Callable[..., SplitEncoder]) -> None:
    class Greedy(Counting):
        def encode(self, dialogue: Any, **options: Any) -> Any:
            raise MemoryError

    line = error_line(lambda: make(Greedy(), source=256).load("val"))
    assert line == (
        "memory ran out while data.val_file was encoded (out of memory): end what else uses it, or split the file"
    )
