"""Semantic scores in a module: logged in a fit and in slices, and never a part of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.metrics import BertScoreSettings, ScoreSettings, SemanticScorer, SemanticSettings, SimilaritySettings
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.metrics.semantic import embedding as embedding_file
from kosum_pl.modules import SummarizationModule
from kosum_pl.types import Prediction
from tests.metrics.rows import prediction, scored
from tests.modules_fixtures import quiet_trainer, wide_module

NAMES = ("bertscore_precision", "bertscore_recall", "bertscore_f1", "similarity", "bleu", "chrf")

pytest.importorskip("sacrebleu", reason="the extra 'semantic' is not installed")


def settings(encoder: str) -> SemanticSettings:
    return SemanticSettings(
        bertscore=BertScoreSettings(model_name=encoder, layer=2), similarity=SimilaritySettings(model_name=encoder)
    )


def predictions() -> list[Prediction]:
    """Five rows in two slices, one of them without a reference."""
    texts = ("비가 온다.", "눈", "나는 사자를 먹었고 갔다", "", "#Person1#은 차에서 온다")
    return [
        prediction(text, () if row == 2 else (text[::-1] + "가 갔다", "눈이 온다"), profile={"weekday": str(row % 2)})
        for row, text in enumerate(texts)
    ]


def test_a_split_and_its_slices_have_means_of_their_rows(tiny_encoder: str) -> None:
    evaluation = EvaluationScores(
        ScoreSettings(rouge_tokenizer="char", semantic=settings(tiny_encoder)), slices=["weekday"]
    )
    rows = predictions()
    evaluation.update(range(len(rows)), rows)
    evaluation.update_loss(torch.tensor(1.0), num_tokens=1)
    found, scores = evaluation.finish("val")
    each = SemanticScorer(settings(tiny_encoder)).score(
        [row.text for row in rows], [row.references for row in rows], device=torch.device("cpu")
    )
    for column, name in enumerate(NAMES[:4]):
        assert scores[f"val/{name}"] == pytest.approx(each[[0, 1, 3, 4], column].mean(), abs=1e-6)
        assert scores[f"val/{name}/weekday=0"] == pytest.approx(each[[0, 4], column].mean(), abs=1e-6)
        assert scores[f"val/{name}/weekday=1"] == pytest.approx(each[[1, 3], column].mean(), abs=1e-6)
    table = {(line.name, line.score): line for line in found.slice_scores}
    for name in NAMES:
        line = table["all", name]
        assert line.value == pytest.approx(scores[f"val/{name}"])
        assert (line.low is None) == (name in ("bleu", "chrf"))
        if line.low is not None:
            assert line.low < line.value < line.high


def test_the_record_says_how_it_was_scored(tiny_encoder: str) -> None:
    record = EvaluationScores(ScoreSettings(rouge_tokenizer="char", semantic=settings(tiny_encoder))).record()
    assert record["bertscore_encoder"] == f"{tiny_encoder}, layer 2, no idf"
    assert record["similarity_encoder"].startswith(tiny_encoder)
    assert record["bleu_tokenizer"].startswith("sacrebleu ")
    assert record["rouge_tokenizer"] == "char"


def test_rows_without_their_scores_have_none_of_these(tiny_encoder: str) -> None:
    """As when predictions are read from a file: nothing is embedded, and nothing stands in for it."""
    found = scored(predictions(), semantic=settings(tiny_encoder))
    assert "rouge_sum" in found
    assert "bleu" in found
    assert not {"similarity", "bertscore_f1"} & found.keys()


def fit(files: dict[str, str], module: SummarizationModule, folder: Path, **options: Any) -> Trainer:
    checkpoint = ModelCheckpoint(folder, monitor="val/bertscore_f1", mode="max", auto_insert_metric_name=False)
    settings = {"callbacks": [checkpoint], "enable_checkpointing": True, "max_steps": 4, "val_check_interval": 2}
    trainer = quiet_trainer(**(settings | options))
    trainer.fit(module, datamodule=SummarizationDataModule(**files, batch_size=4, num_workers=0))
    return trainer


@pytest.fixture
def files(cut_demo: Callable[[int, int], dict[str, str]]) -> dict[str, str]:
    return cut_demo(16, 6)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fit_logs_them_and_a_checkpoint_follows_them(
    files: dict[str, str], tiny_encoder: str, tmp_path: Path, dtype: str
) -> None:
    module = wide_module("seq2seq", semantic=settings(tiny_encoder), dtype=dtype).to(getattr(torch, dtype))
    before = set(module.state_dict()), sum(1 for _ in module.parameters())
    trainer = fit(files, module, tmp_path, precision="bf16-mixed" if dtype == "bfloat16" else "32-true")
    logged = {name.removeprefix("val/") for name in trainer.callback_metrics}
    assert set(NAMES) <= logged
    assert {f"val/{name}" for name in NAMES} <= set(module.metric_names)
    for name in NAMES[:4]:
        assert 0 <= float(trainer.callback_metrics[f"val/{name}"]) <= 1
    # Scores of the predictions by a scorer of its own: in float32, whatever the module's dtype.
    rows = module.predictions
    oracle = SemanticScorer(settings(tiny_encoder)).score(
        [row.text for row in rows], [row.references for row in rows], device=torch.device("cpu")
    )
    assert [module.scores[f"val/{name}"] for name in NAMES[:4]] == pytest.approx(oracle.mean(axis=0), abs=1e-6)
    # The encoder is no part of the module, nor of its checkpoint.
    assert (set(module.state_dict()), sum(1 for _ in module.parameters())) == before
    assert trainer.checkpoint_callback.best_model_score == pytest.approx(
        max(trainer.checkpoint_callback.best_k_models.values())
    )
    saved = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=True)
    assert set(saved["state_dict"]) == before[0]


def test_losses_are_the_same_with_and_without(files: dict[str, str], tiny_encoder: str, tmp_path: Path) -> None:
    weights = []
    for semantic in (None, settings(tiny_encoder)):
        module = wide_module("seq2seq", semantic=semantic, dropout=0.3)
        torch.manual_seed(1)
        fit(files, module, tmp_path, callbacks=[], enable_checkpointing=False)
        weights.append(module.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_nothing_is_loaded_where_it_is_null(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("loaded")

    monkeypatch.setattr(embedding_file.TextEncoder, "__init__", refuse)
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    module = wide_module("seq2seq")
    fit(files, module, tmp_path, callbacks=[], enable_checkpointing=False)
    assert not {f"val/{name}" for name in NAMES} & set(module.metric_names)
    assert not {f"val/{name}" for name in NAMES} & module.scores.keys()


def test_an_encoder_that_is_not_there_fails_before_the_first_step(files: dict[str, str], tmp_path: Path) -> None:
    """Not at the first validation; and a model that only summarizes never asks for it."""
    semantic = SemanticSettings(similarity=SimilaritySettings(model_name="./absent"))
    module = wide_module("seq2seq", semantic=semantic)
    module.model = None  # as it is when a Trainer begins
    with pytest.raises(ValueError, match=r"^model\.semantic\.similarity\.model_name './absent' cannot be loaded"):
        fit(files, module, tmp_path)
    assert module.trainer.global_step == 0
    with pytest.raises(ValueError, match=r"^model\.semantic\.similarity\.model_name './absent' cannot be loaded"):
        module.trainer.validate(module, datamodule=SummarizationDataModule(**files, batch_size=4, num_workers=0))
