"""Samples of every validation: the same rows, whole texts in the file, and nothing of them in what is learnt."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kosum_pl.callbacks.sample_table import SampleTable, choose_samples, markdown_table, shorten
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.types import Prediction
from tests.modules_fixtures import small_module


class Noter(Callback):
    """Notes losses, and all predictions of each validation."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.texts: dict[int, dict[str, str]] = {}
        self.ends: dict[int, dict[str, bool]] = {}

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        self.losses.append(outputs["loss"].item())

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.texts[trainer.global_step] = {row.example_id: row.text for row in pl_module.predictions}
        self.ends[trainer.global_step] = {row.example_id: row.reached_eos for row in pl_module.predictions}


class EndsOnce(Callback):
    """Has all summaries end at the first validation, and none at a later one."""

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        ends = trainer.global_step <= 2
        pl_module.predictions = [replace(row, reached_eos=ends) for row in pl_module.predictions]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_demo: Callable[[int, int], dict[str, str]]) -> Any:
    """Sixteen rows to learn and ten to validate, and a preset of few tokens."""
    folder = tmp_path / "configs" / "presets"
    folder.mkdir(parents=True)
    (folder / "fast.yaml").write_text("max_new_tokens: 8", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return cut_demo(16, 10)


def fit(files: dict[str, str], folder: Path, callbacks: list[Any], **options: Any) -> Noter:
    """Four batches an epoch, validated after every second; dropout on."""
    ckpt_path = options.pop("ckpt_path", None)
    generate = options.pop("generate_during_fit", True)
    noter = Noter()
    seed_everything(3)
    module = small_module("seq2seq", dropout=0.1, fit_preset="fast", generate_during_fit=generate)
    defaults = {"max_steps": 4, "val_check_interval": 2, "logger": False, "enable_checkpointing": False}
    if options.get("enable_checkpointing"):
        callbacks = [*callbacks, ModelCheckpoint(dirpath=folder, filename="end", every_n_train_steps=2)]
    trainer = Trainer(
        accelerator="cpu", default_root_dir=folder, callbacks=[*callbacks, noter], use_distributed_sampler=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=1, **(defaults | options),
    )  # fmt: skip
    data = SummarizationDataModule(**files, batch_size=4, eval_batch_size=4)
    trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
    return noter


def written(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "samples.jsonl").read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.split("\n") if line]


def test_the_same_rows_are_shown_and_kept_at_every_validation(
    tmp_path: Path, files: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    noter = fit(files, tmp_path, [EndsOnce(), SampleTable(num_samples=3)])
    lines = written(tmp_path)
    assert [line["step"] for line in lines] == [2, 2, 2, 4, 4, 4]
    ids = [line["example_id"] for line in lines]
    assert ids[:3] == ids[3:]
    assert len(set(ids)) == 3
    for line in lines:
        assert set(line) == {"step", "epoch", "example_id", "dialogue", "reference", "prediction", "reached_eos"}
        assert line["prediction"] == noter.texts[line["step"]][line["example_id"]]
        assert line["reached_eos"] is noter.ends[line["step"]][line["example_id"]]
        assert line["reference"]
    shown = capsys.readouterr().out
    assert shown.count("[unfinished]") == sum(not line["reached_eos"] for line in lines) == 3
    assert "samples at step 2" in shown
    assert "samples at step 4" in shown
    assert "samples at step 0" not in shown, "the sanity check is no validation"


def test_a_resume_goes_on_with_the_same_rows_and_drops_later_lines(tmp_path: Path, files: dict[str, str]) -> None:
    fit(files, tmp_path, [SampleTable(num_samples=2)], max_steps=2, enable_checkpointing=True)
    first = written(tmp_path)
    path = tmp_path / "samples.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + json.dumps({"step": 3}) + "\n", encoding="utf-8")
    fit(files, tmp_path, [SampleTable(num_samples=2)], max_steps=4, ckpt_path=tmp_path / "end.ckpt")
    lines = written(tmp_path)
    assert lines[:2] == first
    assert [line["step"] for line in lines] == [2, 2, 4, 4]
    assert [line["example_id"] for line in lines[2:]] == [line["example_id"] for line in first]


def test_a_new_fit_starts_a_new_file(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "samples.jsonl").write_text('{"step": 0}\n{"step": 9}\n', encoding="utf-8")
    fit(files, tmp_path, [SampleTable(num_samples=1)])
    assert [line["step"] for line in written(tmp_path)] == [2, 4]


def test_tensorboard_has_the_table(tmp_path: Path, files: dict[str, str]) -> None:
    logger = TensorBoardLogger(str(tmp_path), name="", version="")
    fit(files, tmp_path, [SampleTable(num_samples=2, max_characters=30)], logger=logger)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    shown = events.Tensors("val/samples/text_summary")
    assert [event.step for event in shown] == [2, 4]
    text = shown[-1].tensor_proto.string_val[0].decode()
    assert text.startswith("| id | dialogue | reference | prediction |\n")
    for line, row in zip(written(tmp_path)[-2:], text.split("\n")[2:], strict=True):
        cells = row.strip("| ").split(" | ")
        assert cells[0] == line["example_id"]
        assert cells[1].replace("<br>", "\n").rstrip("…") == line["dialogue"][:29].rstrip()


def test_losses_are_the_same_to_the_bit_without_it(tmp_path: Path, files: dict[str, str]) -> None:
    with_it = fit(files, tmp_path, [SampleTable()], max_steps=6)
    assert with_it.losses == fit(files, tmp_path / "plain", [], max_steps=6).losses
    assert len(with_it.losses) == 6


def test_without_generation_nothing_is_shown(tmp_path: Path, files: dict[str, str]) -> None:
    fit(files, tmp_path, [SampleTable()], generate_during_fit=False)
    assert not (tmp_path / "samples.jsonl").exists()


def test_mistakes_are_named_in_one_line() -> None:
    with pytest.raises(ValueError, match="max_characters is 0; give at least 1"):
        SampleTable(max_characters=0)
    with pytest.raises(ValueError, match="SampleTable: LightningModule is no SummarizationModule; take the callback"):
        SampleTable().on_train_start(Trainer(logger=False, accelerator="cpu"), LightningModule())


def prediction(example_id: str, text: str = "") -> Prediction:
    return Prediction(
        example_id=example_id, text=text, raw_text=text, dialogue="", references=(), profile={}, log_prob=0.0,
        num_tokens=1, reached_eos=True, attempts=1, preset="fast",
    )  # fmt: skip


@given(st.sets(st.text(max_size=4), min_size=1, max_size=30), st.integers(0, 3), st.randoms(use_true_random=False))
def test_the_choice_knows_no_order_and_no_text(ids: set[str], seed: int, order: random.Random) -> None:
    rows = [prediction(example_id) for example_id in sorted(ids)]
    chosen = [row.example_id for row in choose_samples(rows, num_samples=4, seed=seed)]
    rows = [prediction(row.example_id, "안녕") for row in rows]
    order.shuffle(rows)
    assert [row.example_id for row in choose_samples(rows, num_samples=4, seed=seed)] == chosen
    assert len(set(chosen)) == min(4, len(ids))


def test_more_rows_leave_most_of_the_choice_in_place() -> None:
    """Rows of a subset that are chosen from the whole are chosen from the subset."""
    rows = [prediction(f"dev_{number}") for number in range(100)]
    whole = {row.example_id for row in choose_samples(rows, num_samples=10, seed=42)}
    half = {row.example_id for row in choose_samples(rows[:50], num_samples=10, seed=42)}
    assert whole & {f"dev_{number}" for number in range(50)} <= half


def test_another_seed_chooses_other_rows() -> None:
    rows = [prediction(f"dev_{number}") for number in range(100)]
    chosen = [[row.example_id for row in choose_samples(rows, num_samples=4, seed=seed)] for seed in (1, 2)]
    assert chosen[0] != chosen[1]


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_cell_stays_in_its_line_and_column(reference: str, text: str) -> None:
    line = {"example_id": "a", "dialogue": "안녕", "reference": reference, "prediction": text}
    row = markdown_table([line], max_characters=50).split("\n")
    assert len(row) == 3
    plain = row[2].replace("\\\\", "").replace("\\|", "")
    assert plain.count("|") == 5
    assert "<" not in plain.replace("<br>", "")


def test_a_mark_stands_behind_what_the_model_did_not_end() -> None:
    line = {"example_id": "a", "dialogue": "가자.", "reference": "간다.", "prediction": "간다. 그러고 나서"}
    known = [{**line, "reached_eos": True}, {**line, "reached_eos": False}]
    rows = markdown_table([line, *known], max_characters=5).split("\n")[2:]
    assert [row.split(" | ")[-1] for row in rows] == ["간다.… |", "간다.… |", "간다.… [unfinished] |"]


@given(st.text(max_size=30), st.integers(1, 30))
def test_a_short_text_is_a_head_of_the_long_one(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert len(short) <= limit
    assert short == text or text.startswith(short.removesuffix("…"))
