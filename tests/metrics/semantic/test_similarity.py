"""Sentence similarity against a naive loop over transformers, and against sentence-transformers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from kosum_pl.metrics.semantic.settings import SimilaritySettings
from kosum_pl.metrics.semantic.similarity import (
    PoolingEncoder,
    SentenceTransformerEncoder,
    SimilarityScorer,
    has_modules_file,
)

CPU = torch.device("cpu")
PREDICTIONS = ["비가 온다.", "나는 사자를 먹었고 갔다", "눈"]
REFERENCES = [["눈이 온다", "비가 온다고"], ["사자를 먹었다"], ["#Person2#가 간다"]]


def similarity_scorer(folder: str, *, multi_reference: str = "mean", **settings: Any) -> SimilarityScorer:
    return SimilarityScorer(SimilaritySettings(model_name=folder, **settings), multi_reference=multi_reference)


def score(scorer: SimilarityScorer, predictions: list[str], references: list[list[str]]) -> np.ndarray:
    return scorer.score(predictions, references, rows=range(len(predictions)), device=CPU)[:, 0]


def naive_vectors(folder: str, texts: list[str], pooling: str) -> np.ndarray:
    """One text at a time, without padding."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval().double()
    vectors = []
    for text in texts:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        vector = states[0] if pooling == "cls" else states.mean(axis=0)
        vectors.append(vector / np.linalg.norm(vector))
    return np.array(vectors)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("rule", ["mean", "max"])
def test_rows_equal_a_naive_loop(tiny_encoder: str, pooling: str, rule: str) -> None:
    scorer = similarity_scorer(tiny_encoder, pooling=pooling, prompt="나: ", batch_size=2, multi_reference=rule)
    expected = []
    for prediction, references in zip(PREDICTIONS, REFERENCES, strict=True):
        first, *rest = naive_vectors(tiny_encoder, ["나: " + text for text in (prediction, *references)], pooling)
        expected.append((max if rule == "max" else np.mean)([first @ other for other in rest]))
    assert score(scorer, PREDICTIONS, REFERENCES) == pytest.approx(np.array(expected), abs=1e-5)


def test_a_plain_encoder_is_pooled_by_its_mean(tiny_encoder: str) -> None:
    assert score(similarity_scorer(tiny_encoder), PREDICTIONS, REFERENCES) == pytest.approx(
        score(similarity_scorer(tiny_encoder, pooling="mean"), PREDICTIONS, REFERENCES)
    )
    assert isinstance(similarity_scorer(tiny_encoder).encoder, PoolingEncoder)
    assert similarity_scorer(tiny_encoder, prompt="query: ").record() == {
        "similarity_encoder": f"{tiny_encoder}, its own pooling, else mean, prompt 'query: '"
    }


def test_the_same_text_scores_one_and_an_empty_one_zero(tiny_encoder: str) -> None:
    found = score(similarity_scorer(tiny_encoder), ["비가 온다", " ", ""], [["비가 온다"], ["비"], ["비"]])
    assert found == pytest.approx([1.0, 0.0, 0.0], abs=1e-6)
    assert found[0] <= 1


def write_modules(folder: str, target: Path, modes: dict[str, bool]) -> str:
    """The encoder as a folder of sentence-transformers, as they lie on hubs."""
    import shutil

    shutil.copytree(folder, target)
    kinds = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    modules = [
        {"idx": int(idx), "name": idx, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for idx, path, kind in kinds
    ]
    (target / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (target / "sentence_bert_config.json").write_text('{"max_seq_length": 40, "do_lower_case": false}')
    (target / "1_Pooling").mkdir()
    (target / "2_Normalize").mkdir()
    (target / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 24, **modes}))
    return str(target)


@pytest.mark.slow
def test_a_folder_of_sentence_transformers_says_its_own_pooling(tiny_encoder: str, tmp_path: Path) -> None:
    """12 s: the package imports much."""
    pytest.importorskip("sentence_transformers", reason="the extra 'semantic' is not installed")
    modes = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    folder = write_modules(tiny_encoder, tmp_path / "model", modes)
    assert has_modules_file(folder)
    scorer = similarity_scorer(folder)
    assert isinstance(scorer.encoder, SentenceTransformerEncoder)
    found = score(scorer, PREDICTIONS, REFERENCES)
    assert found == pytest.approx(
        score(similarity_scorer(tiny_encoder, pooling="cls"), PREDICTIONS, REFERENCES), abs=1e-5
    )
    with pytest.warns(UserWarning, match=r"^model\.semantic\.similarity: 1 texts are longer than the 40 tokens"):
        score(scorer, ["비가 온다 " * 30], [["비"]])
    # Asked for, a pooling of one's own wins.
    assert score(similarity_scorer(folder, pooling="mean"), PREDICTIONS, REFERENCES) == pytest.approx(
        score(similarity_scorer(tiny_encoder), PREDICTIONS, REFERENCES), abs=1e-5
    )


def test_what_to_install_and_what_to_pass(tiny_encoder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    folder = write_modules(tiny_encoder, tmp_path / "model", {"pooling_mode_mean_tokens": True})
    with pytest.raises(
        ValueError, match=r"^model\.semantic\.similarity\.model_name '.*' needs sentence-transformers, "
    ) as caught:
        score(similarity_scorer(folder), ["비"], [["눈"]])
    assert str(caught.value).endswith("pip install sentence-transformers")
    for name in ("./no/such/folder", "nobody/such-model"):
        with pytest.raises(ValueError, match=rf"^model\.semantic\.similarity\.model_name '{name}' cannot be loaded"):
            score(similarity_scorer(name), ["비"], [["눈"]])
