"""Loaders of a whole run: subsets, presets apart, ranks, and what a stage says when a file is missing."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.encode import Seq2SeqEncoder
from kosum_pl.types import IGNORE_INDEX
from tests.modules_fixtures import attached, quiet_trainer, small_module


@pytest.fixture
def small_files(cut_demo: Callable[[int, int], dict[str, str]]) -> dict[str, str]:
    """48 training and 20 validation rows of the demo."""
    return cut_demo(48, 20)


def fit_data(files: dict[str, str], *, kind: str = "seq2seq", **settings: Any) -> SummarizationDataModule:
    return attached("fit", small_module(kind), SummarizationDataModule(**files, **settings))


def test_training_batches_hold_every_row_once(kind: str, small_files: dict[str, str]) -> None:
    batches = list(fit_data(small_files, kind=kind, max_batch_tokens=600, num_workers=0).train_dataloader())
    assert sorted(row for batch in batches for row in batch.rows) == list(range(48))
    assert all(batch.input_ids.numel() <= 600 for batch in batches if len(batch.rows) > 1)
    for batch in batches:
        assert batch.labels is not None
        assert batch.num_supervised_tokens == int((batch.labels != IGNORE_INDEX).sum())


def test_validation_inside_fit_uses_the_same_seeded_subset(small_files: dict[str, str]) -> None:
    settings = {"max_batch_tokens": 600, "num_workers": 0, "num_eval_samples": 7}
    first, again, other = (
        sorted(row for batch in fit_data(small_files, seed=seed, **settings).val_dataloader() for row in batch.rows)
        for seed in (42, 42, 7)
    )
    assert first == again != other
    assert len(set(first)) == 7


def test_validate_scores_every_row(small_files: dict[str, str]) -> None:
    data = SummarizationDataModule(**small_files, batch_size=4, num_eval_samples=7)
    loader = attached("validate", small_module("seq2seq"), data).val_dataloader()
    assert sorted(row for batch in loader for row in batch.rows) == list(range(20))


def test_the_second_start_does_not_tokenize_again(small_files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    fit_data(small_files, batch_size=4)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("tokenized again")

    monkeypatch.setattr(Seq2SeqEncoder, "encode", refuse)
    fit_data(small_files, batch_size=4)
    with pytest.raises(AssertionError, match="tokenized again"):
        fit_data(small_files, batch_size=4, max_source_tokens=90)


def test_counts_and_leaked_dialogues_are_reported(small_files: dict[str, str]) -> None:
    files = dict.fromkeys(("train_file", "val_file"), small_files["train_file"])
    lines = fit_data(files, batch_size=4, max_source_tokens=48, max_summary_tokens=12).report_lines
    assert lines[0].startswith("train: 48 rows, ")
    assert "0 dialogues truncated" not in lines[0]
    assert "0 summaries cut" not in lines[0]
    assert "warning: 48 dialogues stand in both train and val" in lines


@pytest.mark.parametrize(
    ("stage", "split"), [("fit", "train"), ("validate", "val"), ("test", "test"), ("predict", "predict")]
)
def test_a_missing_file_names_its_argument(stage: str, split: str) -> None:
    with pytest.raises(ValueError, match=rf"{stage} needs data\.{split}_file"):
        attached(stage, small_module("seq2seq"), SummarizationDataModule(batch_size=4))


@pytest.mark.parametrize("sizes", [{}, {"batch_size": 4, "max_batch_tokens": 100}])
def test_exactly_one_batch_size_is_set(sizes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="set exactly one"):
        SummarizationDataModule(**sizes)


def test_predictions_come_in_input_order(small_files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text("max_new_tokens: 6", encoding="utf-8")
    module = small_module("seq2seq", preset=str(tmp_path / "short.yaml"))
    data = SummarizationDataModule(predict_file=small_files["val_file"], batch_size=4, eval_batch_size=6)
    texts = quiet_trainer().predict(module, datamodule=data)
    assert sorted(text for batch in texts for text in batch) == sorted(row.text for row in module.predictions)
    with Path(small_files["val_file"]).open(encoding="utf-8", newline="") as file:
        expected = [row["fname"] for row in csv.DictReader(file)]
    assert [prediction.example_id for prediction in module.predictions] == expected
