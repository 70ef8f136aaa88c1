from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.commands.doctor.data import (
    Lengths,
    constraint_findings,
    length_findings,
    measure_lengths,
    outside_findings,
    table_findings,
    tag_findings,
)
from kosum_pl.data import Columns, DialogueTable, read_dialogues
from kosum_pl.decode import ConstraintSettings, DecodingPreset
from kosum_pl.encode import Seq2SeqEncoder, SourcePrompt, TokenLimits, load_tokenizer
from kosum_pl.types import IGNORE_INDEX, Dialogue, EncodedExample
from tests.commands.doctor.levels import levels, pairs, texts

SUMMARY = Lengths(split="train", part="summary", p50=40, p95=90, longest=120, limit=128, num_over=0)


def example(*, prompt: int, summary: int, truncated: int = 0, cut: int = 0) -> EncodedExample:
    return EncodedExample(
        example_id="a",
        input_ids=[7] * (prompt + summary),
        labels=[IGNORE_INDEX] * prompt + [7] * summary,
        prompt_length=prompt,
        truncated_tokens=truncated,
        cut_tokens=cut,
    )


def table(folder: Path, split: str, rows: list[tuple[str, str]]) -> DialogueTable:
    path = folder / f"{split}.csv"
    lines = [f'{split}_{number},"{text}","{summary}"' for number, (text, summary) in enumerate(rows)]
    path.write_text("\n".join(["fname,dialogue,summary", *lines, ""]), encoding="utf-8")
    return read_dialogues(
        str(path),
        columns=Columns(),
        cleaning=(),
        on_bad_rows="error",
        needs_summary=True,
        cache_dir=folder / "cache",
        split=split,
    )


def test_lengths_are_those_before_anything_was_dropped() -> None:
    examples = [example(prompt=10 + number, summary=5) for number in range(19)]
    examples.append(example(prompt=30, summary=8, truncated=12, cut=4))
    limits = TokenLimits(max_source_tokens=30, max_summary_tokens=8)
    read, learnt = measure_lengths(examples, split="val", is_causal=True, limits=limits)
    assert (read.part, read.p50, read.longest, read.limit, read.num_over) == ("prompt", 20, 42, 30, 1)
    assert (learnt.part, learnt.p50, learnt.longest, learnt.num_over) == ("summary", 5, 12, 1)


def test_a_preset_that_stops_too_early() -> None:
    presets = [DecodingPreset(name="short", max_new_tokens=64), DecodingPreset(name="long", max_new_tokens=90)]
    assert pairs(length_findings([SUMMARY], presets=presets, max_positions=None, is_causal=True)) == [
        ("warning", "preset 'short' stops at 64 tokens, and one reference in twenty has 90 or more")
    ]


@pytest.mark.parametrize(
    ("is_causal", "positions", "expected"),
    [(True, 620, []), (True, 619, ["warning"]), (False, 500, []), (False, 499, ["broken"])],
)
def test_positions(is_causal: bool, positions: int, expected: list[str]) -> None:
    prompt = Lengths(split="train", part="prompt", p50=100, p95=300, longest=800, limit=500, num_over=1)
    findings = length_findings([prompt, SUMMARY], presets=[], max_positions=positions, is_causal=is_causal)
    assert levels(findings) == expected


def test_leakage_and_duplicates(tmp_path: Path) -> None:
    train = table(tmp_path, "train", [("A: 가", "가"), ("A: 나", "나"), ("A:  가", "다"), ("A: 라", "라")])
    val = table(tmp_path, "val", [("A: 나", "나"), ("A: 마", "마")])
    assert texts(table_findings({"train": train, "val": val}), "warning") == [
        "train: 1 rows have a dialogue that stands there already",
        "1 dialogues of val stand in train too",
    ]
    assert any("data.val_file" in text for text in texts(table_findings({"train": train}), "warning"))


def test_tags_that_no_dialogue_holds() -> None:
    rows = [
        Dialogue(example_id="a", text="#Person1#: 네.", references=("#Person1#이 답한다.",)),
        Dialogue(example_id="b", text="#Person1#: 네.", references=("#Person2#가 답한다.",)),
        Dialogue(example_id="c", text="#Person1#: 네.", references=("답한다.",)),
    ]
    assert pairs(tag_findings(rows, split="train")) == [
        ("ok", "train: 67% of the references hold tags: #Person1# 1, #Person2# 1"),
        ("warning", "train: 1 references name a tag that their dialogue lacks (#Person2# in b)"),
    ]


def test_references_outside_the_charset_are_counted_a_split_at_a_time() -> None:
    rows = {
        "train": [Dialogue(example_id="a", text="A: KTX", references=("KTX와 UFO, UFO.",))],
        "val": [Dialogue(example_id="b", text="A: 네", references=("네.",))],
    }
    assert pairs(outside_findings(rows, settings=ConstraintSettings(), is_set=True)) == [
        ("warning", "train: 1 of 1 references hold characters outside 'korean': UFO 1"),
        ("ok", "val: 0 of 1 references hold characters outside 'korean'"),
    ]
    assert levels(outside_findings(rows, settings=ConstraintSettings(), is_set=False)) == ["note", "ok"]


def test_a_constraint_that_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, settings = Seq2SeqEncoder(load_tokenizer("demo:bart")[0], SourcePrompt()), ConstraintSettings()
    assert levels(constraint_findings(None, encoder)) == ["note"]
    assert levels(constraint_findings(settings, encoder)) == ["ok"]

    def fail(*_: object, **__: object) -> None:
        raise ValueError("its kind is unknown")

    monkeypatch.setattr(ConstraintSettings, "build", fail)
    assert pairs(constraint_findings(settings, encoder)) == [("broken", "cannot be built: its kind is unknown")]
