from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kosum_pl.data import DialogueTable
from kosum_pl.encode import Encoder, Seq2SeqEncoder, SourcePrompt, TokenLimits
from kosum_pl.encode.long_rows import LongRowRules
from kosum_pl.encode.table import EncodedTable, encode_table
from tests.data.tables import error_line, read_table

WIDE = TokenLimits(max_source_tokens=1 << 20, max_summary_tokens=1 << 20)
LIMITS = TokenLimits(max_source_tokens=24, max_summary_tokens=10)

Rows = list[tuple[int, int]]
"""Of each row how many words its dialogue and its summary have."""
Encode = Callable[..., tuple[DialogueTable, EncodedTable]]


@pytest.fixture(scope="module")
def encoder(tiny: Any) -> Encoder:
    return Seq2SeqEncoder(tiny.bart(), SourcePrompt())


@pytest.fixture(scope="module")
def encode(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> Encode:
    folder = tmp_path_factory.mktemp("rows")

    def make(rows: Rows, limits: TokenLimits = WIDE) -> tuple[DialogueTable, EncodedTable]:
        path = folder / "rows.jsonl"
        values = [
            {"fname": f"r{i}", "dialogue": f"#Person1#: {'회의 ' * words}{i}", "summary": "요약 " * length}
            for i, (words, length) in enumerate(rows)
        ]
        path.write_text("\n".join(map(json.dumps, values)), encoding="utf-8")
        table = read_table(path, folder / "cache")
        return table, encode_table(table, encoder=encoder, limits=limits, with_summary=True, cache_dir=folder / "cache")

    return make


@given(
    rows=st.lists(st.tuples(st.integers(1, 30), st.integers(1, 14)), min_size=1, max_size=12),
    drops_dialogues=st.booleans(),
    drops_summaries=st.booleans(),
)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_train_keeps_exactly_the_rows_within_the_limits(
    encode: Encode, encoder: Encoder, rows: Rows, drops_dialogues: bool, drops_summaries: bool
) -> None:
    table, whole = encode(rows)
    expected = []
    for index in range(len(table)):
        example = encoder.encode(table[index], limits=WIDE, with_summary=True)
        is_long = drops_dialogues and len(example.input_ids) > LIMITS.max_source_tokens
        is_long |= drops_summaries and len(example.labels) > LIMITS.max_summary_tokens
        expected += [] if is_long else [example]
    rules = LongRowRules(
        on_long_dialogue="drop" if drops_dialogues else "truncate", on_long_summary="drop" if drops_summaries else "cut"
    )
    if not expected:
        assert error_line(lambda: rules.drop(table, whole, limits=LIMITS)).startswith(f"train: all {len(table)} rows")
        return
    kept, encoded, dropped = rules.drop(table, whole, limits=LIMITS)
    assert [encoded[index] for index in range(len(encoded))] == expected
    assert [row.example_id for row in kept] == [example.example_id for example in expected]
    assert [kept[index].example_id for index in range(len(kept))] == [example.example_id for example in expected]
    assert encoded.lengths.tolist() == [len(example.input_ids) for example in expected]
    assert encoded.summary_lengths.tolist() == [len(example.labels) for example in expected]
    assert sum(len(long.rows) for long in dropped) == len(table) - len(expected) == len(kept.rejected)


SHORT, LONG_DIALOGUE, LONG_SUMMARY, LONG_BOTH = (1, 1), (30, 1), (1, 14), (30, 14)
MIXED = [LONG_SUMMARY, SHORT, LONG_BOTH, LONG_DIALOGUE, SHORT, LONG_SUMMARY, LONG_SUMMARY]


def test_what_is_dropped_is_said_and_listed(encode: Encode) -> None:
    table, whole = encode(MIXED)
    kept, _, dropped = LongRowRules(on_long_dialogue="drop", on_long_summary="drop").drop(table, whole, limits=LIMITS)
    assert [long.dropped_line for long in dropped] == [
        "train: 4 rows dropped: summary longer than data.max_summary_tokens=10 (r0, r2, r5, …)",
        "train: 1 row dropped: dialogue longer than data.max_source_tokens=24 (r3)",
    ]
    reasons = {row["content"]["example_id"]: row["reason"] for row in kept.rejected}
    assert reasons == {
        **dict.fromkeys(("r0", "r2", "r5", "r6"), "summary longer than data.max_summary_tokens=10"),
        "r3": "dialogue longer than data.max_source_tokens=24",
    }
    assert kept.fingerprint != table.fingerprint
    assert len(table) == 7


def test_nothing_to_drop_is_the_same_table(encode: Encode) -> None:
    table, whole = encode([SHORT, SHORT])
    assert LongRowRules(on_long_summary="drop").drop(table, whole, limits=LIMITS) == (table, whole, [])


def test_no_row_left_is_an_error(encode: Encode) -> None:
    rules = LongRowRules(on_long_dialogue="drop", on_long_summary="drop")
    assert error_line(lambda: rules.drop(*encode([LONG_BOTH, LONG_DIALOGUE]), limits=LIMITS)) == (
        "train: all 2 rows are dropped: summary longer than data.max_summary_tokens=10 or dialogue longer than "
        "data.max_source_tokens=24; raise it"
    )


def test_an_error_names_the_first_rows_and_the_remedy(encode: Encode, encoder: Encoder) -> None:
    table, encoded = encode(MIXED, LIMITS)
    longest = len(encoder.encode(table[0], limits=WIDE, with_summary=True).labels)
    line = error_line(lambda: LongRowRules(on_long_summary="error").check(encoded, split="val", limits=LIMITS))
    assert line == (
        "val: 4 of 7 summaries are longer than data.max_summary_tokens=10 (r0, r2, r5, …); raise it "
        f"(the longest has {longest}), or set data.on_long_summary to cut or drop"
    )
    line = error_line(lambda: LongRowRules(on_long_dialogue="error").check(encoded, split="val", limits=LIMITS))
    assert line.startswith("val: 2 of 7 dialogues are longer than data.max_source_tokens=24 (r2, r3); raise it ")
    assert line.endswith("or set data.on_long_dialogue to truncate or drop")


def test_other_splits_keep_their_rows_and_say_so(encode: Encode) -> None:
    _, encoded = encode(MIXED, LIMITS)
    rules = LongRowRules(on_long_dialogue="drop", on_long_summary="drop")
    assert rules.check(encoded, split="val", limits=LIMITS) == [
        "val: 4 summaries longer than data.max_summary_tokens=10 are cut, which matters for the loss alone; only train "
        "drops rows",
        "val: 2 dialogues longer than data.max_source_tokens=24 are truncated; only train drops rows",
    ]
    assert LongRowRules().check(encoded, split="val", limits=LIMITS) == []
    _, encoded = encode([LONG_DIALOGUE, SHORT], LIMITS)
    assert rules.check(encoded, split="val", limits=LIMITS) == [
        "val: 1 dialogue longer than data.max_source_tokens=24 is truncated; only train drops rows"
    ]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"on_long_summary": "truncate"}, "data.on_long_summary is 'truncate'; known: cut, drop, error"),
        ({"on_long_dialogue": "cut"}, "data.on_long_dialogue is 'cut'; known: truncate, drop, error"),
    ],
)
def test_unknown_choices(choice: dict[str, Any], message: str) -> None:
    assert error_line(lambda: LongRowRules(**choice)) == message


def test_rows_known_without_limits_are_not_encoded_again(encode: Encode, encoder: Encoder, tmp_path: Path) -> None:
    table, whole = encode(MIXED)
    alone = encode_table(table, encoder=encoder, limits=LIMITS, with_summary=True, cache_dir=tmp_path / "alone")
    taken: list[str] = []

    class Counting(Seq2SeqEncoder):
        def encode(self, dialogue: Any, **options: Any) -> Any:
            taken.append(dialogue.example_id)
            return super().encode(dialogue, **options)

    counting = Counting(encoder.tokenizer, SourcePrompt())
    again = encode_table(
        table, encoder=counting, limits=LIMITS, with_summary=True, cache_dir=tmp_path / "taken", whole=whole
    )
    assert [again[index] for index in range(7)] == [alone[index] for index in range(7)]
    assert taken == ["r0", "r2", "r3", "r5", "r6"]
