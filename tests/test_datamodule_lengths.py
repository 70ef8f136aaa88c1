"""Rows longer than their limits, and limits from train: every split, weights, topics, batches."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import Columns, TopicSettings
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.encode import Encoder, TokenLimits
from kosum_pl.types import EncodedExample
from tests.data.tables import error_line
from tests.modules_fixtures import attached, quiet_trainer, small_module

WIDE = TokenLimits(max_source_tokens=1 << 20, max_summary_tokens=1 << 20)
MAX_SUMMARY = 24


@pytest.fixture
def files(cut_demo: Callable[[int, int], dict[str, str]]) -> dict[str, str]:
    """60 training and 20 validation rows of the demo."""
    return cut_demo(60, 20)


def opened(stage: str = "fit", *, kind: str = "seq2seq", **settings: Any) -> SummarizationDataModule:
    data = SummarizationDataModule(**{"batch_size": 4, "num_workers": 0, "max_summary_tokens": MAX_SUMMARY, **settings})
    return attached(stage, small_module(kind), data)


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def examples(data: SummarizationDataModule, *, split: str = "train") -> list[EncodedExample]:
    return [data.encoded[split][index] for index in range(len(data.encoded[split]))]


def summary_length(example: EncodedExample, encoder: Encoder) -> int:
    return len(example.labels) - example.prompt_length * encoder.is_causal


def naive_kept(path: str, encoder: Encoder) -> list[str]:
    """Ids of the rows of a file whose summary with its terminator is within the limit."""
    rows = read(path)
    ids = [encoder.tokenizer(row["summary"], add_special_tokens=False)["input_ids"] for row in rows]
    return [row["fname"] for row, own in zip(rows, ids, strict=True) if len(own) + 1 <= MAX_SUMMARY]


def naive_limit(lengths: Sequence[int]) -> int:
    limit = 64
    while 1000 * sum(length <= limit for length in lengths) < 995 * len(lengths):
        limit += 64
    return limit


def test_train_loses_its_long_rows_and_no_other_split_does(kind: str, files: dict[str, str]) -> None:
    data = opened(kind=kind, **files, on_long_summary="drop")
    kept = naive_kept(files["train_file"], data.encoder)
    assert 0 < len(kept) < 60
    assert [row.example_id for row in data.tables["train"]] == kept
    assert [example.example_id for example in examples(data)] == kept
    assert {each["content"]["example_id"] for each in data.tables["train"].rejected} == {
        row["fname"] for row in read(files["train_file"])
    } - set(kept)
    num_long_val = 20 - len(naive_kept(files["val_file"], data.encoder))
    assert len(data.tables["val"]) == len(data.encoded["val"]) == 20
    assert f"train: {60 - len(kept)} rows dropped: summary longer than data.max_summary_tokens=24 (" in "\n".join(
        data.report_lines
    )
    assert (
        f"val: {num_long_val} summaries longer than data.max_summary_tokens=24 are cut, which matters for the loss "
        "alone; only train drops rows" in data.report_lines
    )
    # What is left of train is learnt as if the others had never been there.
    cut = opened(kind=kind, **files)
    assert examples(data) == [each for each in examples(cut) if each.example_id in kept]
    assert examples(data, split="val") == examples(cut, split="val")


def test_batches_hold_the_kept_rows_once(files: dict[str, str]) -> None:
    data = opened(**files, on_long_summary="drop", batch_size=None, max_batch_tokens=600)
    num_kept = len(naive_kept(files["train_file"], data.encoder))
    batches = list(data.train_dataloader())
    assert sorted(row for batch in batches for row in batch.rows) == list(range(num_kept))
    assert len(batches) == data.num_train_batches()
    for batch in batches:
        for position, row in enumerate(batch.rows):
            example = data.encoded["train"][row]
            assert batch.input_ids[position, : len(example.input_ids)].tolist() == example.input_ids


def test_weights_stay_with_their_rows(files: dict[str, str]) -> None:
    sources = [{"path": files["train_file"], "weight": 3.0}, files["val_file"]]
    data = opened(train_file=sources, on_long_summary="drop")
    kept = [naive_kept(files[f"{split}_file"], data.encoder) for split in ("train", "val")]
    weights = data.tables["train"].row_weights
    assert weights is not None
    assert weights.tolist() == [3.0] * len(kept[0]) + [1.0] * len(kept[1])
    assert [row.example_id for row in data.tables["train"]] == kept[0] + kept[1]
    visits: dict[str, int] = {}
    for batch in data.train_dataloader():
        for row in batch.rows:
            name = data.encoded["train"][row].example_id
            visits[name] = visits.get(name, 0) + 1
    assert visits == dict.fromkeys(kept[0], 3) | dict.fromkeys(kept[1], 1)


def test_topics_stay_with_their_rows(files: dict[str, str], tmp_path: Path) -> None:
    topics, settings = TopicSettings(num_clusters=3), {**files, "on_long_summary": "drop"}
    data = SummarizationDataModule(**settings, batch_size=4, max_summary_tokens=MAX_SUMMARY, topics=topics)
    attached("fit", small_module("seq2seq"), data, default_root_dir=tmp_path)
    assert data.topics is not None
    rows = list(data.tables["train"])
    assert len(rows) < 60
    assert [row.profile["topic_cluster"] for row in rows] == data.topics.assign([row.text for row in rows])
    assert [data.tables["train"][index] for index in range(len(rows))] == rows
    # The clusters are of all rows: which ones are too long to be learnt says nothing about topics.
    assert sum(data.topics.sizes) == 60


def test_predict_and_test_keep_rows_that_train_would_drop(files: dict[str, str]) -> None:
    data = SummarizationDataModule(
        test_file=files["val_file"],
        predict_file=files["val_file"],
        batch_size=4,
        max_source_tokens=48,
        max_summary_tokens=8,
        on_long_dialogue="drop",
        on_long_summary="drop",
    )
    module = small_module("seq2seq")
    for stage in ("test", "predict"):
        attached(stage, module, data)
        assert [row.example_id for row in data.tables[stage]] == [row["fname"] for row in read(files["val_file"])]
        assert max(example.prompt_length for example in examples(data, split=stage)) <= 48
        assert any("are truncated; only train drops rows" in line for line in data.report_lines)


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_error_stops_before_anything_is_trained(files: dict[str, str], split: str) -> None:
    if split == "val":
        # Train holds the same short summaries only.
        rows = read(files["train_file"])
        with Path(files["train_file"]).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows({**row, "summary": "요약."} for row in rows)
    line = error_line(lambda: opened(**files, on_long_summary="error"))
    assert line.startswith(f"{split}: ")
    assert "summaries are longer than data.max_summary_tokens=24 (" in line
    assert line.endswith("or set data.on_long_summary to cut or drop")


def test_limits_from_train(kind: str, files: dict[str, str]) -> None:
    data = opened(kind=kind, **files, max_source_tokens="auto", max_summary_tokens={"auto_up_to": 20})
    rows = [data.encoder.encode(row, limits=WIDE, with_summary=True) for row in data.tables["train"]]
    sources = [row.prompt_length for row in rows]
    summaries = [summary_length(row, data.encoder) for row in rows]
    assert data.limits.max_source_tokens == naive_limit(sources)
    assert data.limits.max_summary_tokens == 20 < naive_limit(summaries)
    held = [
        1000 * sum(length <= limit for length in own) // 60 / 10
        for limit, own in ((data.limits.max_source_tokens, sources), (20, summaries))
    ]
    assert data.report_lines[:2] == [
        f"max_source_tokens auto: {naive_limit(sources)} holds {held[0]:g} % of 60 train rows (longest {max(sources)})",
        f"max_summary_tokens auto: 20, its ceiling, holds {held[1]:g} % of 60 train rows (longest {max(summaries)})",
    ]
    assert data.splits.measured_limits == {"max_source_tokens": naive_limit(sources), "max_summary_tokens": 20}
    # The very ids of a config that says these numbers.
    given = opened(kind=kind, **files, **data.splits.measured_limits)
    for split in ("train", "val"):
        assert examples(data, split=split) == examples(given, split=split)
    assert given.splits.measured_limits == {}


def test_the_models_positions_bound_the_limits(files: dict[str, str]) -> None:
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 48, "max_position_embeddings": 224}
    data = SummarizationDataModule(**files, batch_size=4, max_source_tokens="auto", max_summary_tokens="auto")
    attached("fit", small_module("causal", shape=shape), data)
    assert (data.limits.max_source_tokens, data.limits.max_summary_tokens) == (160, 64)
    assert max(len(example.input_ids) for example in examples(data)) <= 224
    assert ", all that the model's positions leave, holds " in data.report_lines[0]


def test_dropped_rows_are_those_over_the_measured_limit(files: dict[str, str]) -> None:
    data = opened(**files, max_summary_tokens={"auto_up_to": MAX_SUMMARY}, on_long_summary="drop")
    assert [row.example_id for row in data.tables["train"]] == naive_kept(files["train_file"], data.encoder)


def test_an_evaluation_measures_on_train_and_needs_it(files: dict[str, str]) -> None:
    data = opened("validate", **files, max_source_tokens="auto")
    assert data.limits == opened("fit", **files, max_source_tokens="auto").limits
    assert data.report_lines[0].startswith("max_source_tokens auto: ")
    assert error_line(lambda: opened("validate", val_file=files["val_file"], max_source_tokens="auto")) == (
        "data.max_source_tokens: auto is measured on train, and data.train_file is not set; set it, give a number, or "
        "a run's checkpoint"
    )


def test_a_chat_row_that_cannot_be_truncated_can_be_dropped(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    turn = '{"messages": [{"role": "user", "content": "%s"}, {"role": "assistant", "content": "회의합니다."}]}'
    path.write_text("\n".join(turn % ("회의 요약 " * number) for number in (2, 60, 3)), encoding="utf-8")
    columns = Columns(messages="messages", example_id=None)
    settings: dict[str, Any] = {"train_file": str(path), "columns": columns, "max_source_tokens": 64}
    line = error_line(lambda: opened(kind="causal", **settings))
    assert "raise it, shorten the row, or leave such rows out of train (data.on_long_dialogue=drop)" in line
    data = opened(kind="causal", **settings, on_long_dialogue="drop")
    assert len(data.tables["train"]) == 2
    assert max(example.prompt_length for example in examples(data)) <= 64


def test_a_fit_trains_on_what_is_kept(files: dict[str, str]) -> None:
    data = SummarizationDataModule(**files, batch_size=4, num_workers=0, max_summary_tokens=24, on_long_summary="drop")
    trainer = quiet_trainer(max_epochs=1, limit_val_batches=0)
    trainer.fit(small_module("seq2seq"), datamodule=data)
    assert trainer.global_step == -(-len(naive_kept(files["train_file"], data.encoder)) // 4)
