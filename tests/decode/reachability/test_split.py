"""A split's reachability: which rows are looked at, and what the cache depends on."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import Columns, DialogueTable, read_dialogues
from kosum_pl.decode import ConstraintSettings, DecodingPreset, DecodingSettings, PresetRouter
from kosum_pl.decode.reachability import split as split_module
from kosum_pl.decode.reachability.report import Reachability
from kosum_pl.decode.reachability.split import measure_split
from kosum_pl.encode import Encoder
from tests.modules_fixtures import LIMITS, small_module

REPEATING = "부산에 간다. 부산에 간다. 부산에 간다. 부산에 간다."
STRICT = PresetRouter(forced=DecodingPreset(name="strict", no_repeat_ngram_size=3))
FREE = PresetRouter(forced=DecodingPreset(name="free"))
DECODING = DecodingSettings(router=FREE, fit_router=STRICT, constraint=ConstraintSettings())


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return small_module("seq2seq").encoder


@pytest.fixture
def table(tmp_path: Path) -> DialogueTable:
    return write_table(tmp_path, ["간다.", REPEATING, "Jessica가 간다."] * 4)


def write_table(folder: Path, summaries: list[str]) -> DialogueTable:
    path = folder / "val.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = [(f"row_{number}", f"#Person1#: 가요 {number}.", text) for number, text in enumerate(summaries)]
        csv.writer(file).writerows([("fname", "dialogue", "summary"), *rows])
    return read_dialogues(
        str(path), columns=Columns(), cleaning=(), on_bad_rows="error", needs_summary=True, cache_dir=folder / "cache",
        split="val",
    )  # fmt: skip


def test_predict_and_fit_are_measured_under_their_own_presets(
    table: DialogueTable, encoder: Encoder, tmp_path: Path
) -> None:
    found, inside = measure_split(
        table, encoder=encoder, limits=LIMITS, decoding=DECODING, max_rows=500, cache_dir=tmp_path
    )
    foreign, repeating = ([f"row_{number}" for number in range(first, 12, 3)] for first in (2, 1))
    assert (found.share, found.presets, found.charset) == (1.0, ["free"], foreign)
    assert (inside.unreachable, inside.presets, inside.charset) == (repeating, ["strict"], foreign)
    unconstrained = replace(DECODING, constrained_stages=("validation",))
    assert (
        measure_split(table, encoder=encoder, limits=LIMITS, decoding=unconstrained, max_rows=5, cache_dir=tmp_path)[
            0
        ].charset
        == []
    )


def test_rows_are_spread_evenly_and_the_number_of_all_is_said(
    table: DialogueTable, encoder: Encoder, tmp_path: Path
) -> None:
    _, inside = measure_split(table, encoder=encoder, limits=LIMITS, decoding=DECODING, max_rows=5, cache_dir=tmp_path)
    assert (inside.num_rows, inside.num_all) == (5, 12)
    assert [*inside.unreachable, *inside.charset] == ["row_8", "row_11"]  # of rows 0, 3, 6, 8, 11


def test_a_second_start_measures_nothing_and_a_change_does(
    table: DialogueTable, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(table: DialogueTable, **changed: Any) -> tuple[Reachability, Reachability]:
        arguments = {
            "encoder": encoder,
            "limits": LIMITS,
            "decoding": DECODING,
            "max_rows": 500,
            "cache_dir": tmp_path / "reach",
        }
        return measure_split(table, **{**arguments, **changed})

    first = measure(table)
    monkeypatch.setattr(split_module, "References", None)
    assert measure(table) == first
    other_rows = write_table(tmp_path, ["간다.", REPEATING, "온다."] * 4)
    changes: list[dict[str, Any]] = [
        {"table": other_rows},
        {"limits": replace(LIMITS, max_source_tokens=9)},
        {"encoder": small_module("causal").encoder},
        {"decoding": replace(DECODING, router=STRICT)},
        {"decoding": replace(DECODING, constraint=ConstraintSettings(characters="é"))},
        {"decoding": replace(DECODING, constraint=None)},
        {"max_rows": 7},
    ]
    for change in changes:
        with pytest.raises(TypeError, match="NoneType"):
            measure(**{"table": table, **change})


def test_a_broken_cache_is_measured_again(table: DialogueTable, encoder: Encoder, tmp_path: Path) -> None:
    first = measure_split(table, encoder=encoder, limits=LIMITS, decoding=DECODING, max_rows=500, cache_dir=tmp_path)
    (path,) = (tmp_path / "reachability").iterdir()
    for content in ("", "[]", '[{"num_rows": 3}, 4]', "{}"):
        path.write_text(content, encoding="utf-8")
        assert (
            measure_split(table, encoder=encoder, limits=LIMITS, decoding=DECODING, max_rows=500, cache_dir=tmp_path)
            == first
        )
