"""BERTScore against torchmetrics' function, and against naive loops in float64."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.text.bert import bert_score

from kosum_pl.metrics.semantic.bertscore import BertScorer, idf_weights, match_tokens
from kosum_pl.metrics.semantic.settings import BertScoreSettings

CPU = torch.device("cpu")
# Longer and longer on both sides: torchmetrics sorts rows by length and does not put them back in their order.
PREDICTIONS = ["눈", "비가 온다.", "비가 다 온다 비 비", "나는 사자를 먹었고 갔다", "#Person1#은 차에서 온다 하하"]
REFERENCES = [
    "나는",
    "눈이 온다",
    "비가 다 온다고 하다",
    "사자를 먹었다고 하고 서다",
    "#Person2#가 간다 비가 온다 다라",
]


def torchmetrics_scores(
    folder: str, predictions: list[str], references: list[str], *, layer: int, idf: bool
) -> np.ndarray:
    found = bert_score(
        predictions, references, model_name_or_path=folder, num_layers=layer, idf=idf, max_length=40, truncation=True
    )
    return np.stack([np.atleast_1d(np.asarray(found[name])) for name in ("precision", "recall", "f1")], axis=1)


def bert_scorer(folder: str, *, multi_reference: str = "mean", **settings: Any) -> BertScorer:
    return BertScorer(BertScoreSettings(model_name=folder, **settings), multi_reference=multi_reference)


def score(scorer: BertScorer, predictions: list[str], references: list[list[str]]) -> np.ndarray:
    return scorer.score(predictions, references, rows=range(len(predictions)), device=CPU)


@pytest.mark.parametrize("layer", [0, 2, 3])
@pytest.mark.parametrize("idf", [False, True])
def test_rows_equal_torchmetrics(tiny_encoder: str, layer: int, idf: bool) -> None:
    expected = torchmetrics_scores(tiny_encoder, PREDICTIONS, REFERENCES, layer=layer, idf=idf)
    found = score(bert_scorer(tiny_encoder, layer=layer, idf=idf), PREDICTIONS, [[text] for text in REFERENCES])
    assert found == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 3) for value in found[:, 2]}) == 5
    if layer == 3:
        last = score(bert_scorer(tiny_encoder, idf=idf), PREDICTIONS, [[text] for text in REFERENCES])
        assert last.tolist() == found.tolist()


def test_rows_keep_their_scores_in_any_order(tiny_encoder: str) -> None:
    """Here torchmetrics 1.9 gives rows each other's scores; a pair at a time it is right."""
    order = [3, 0, 4, 2, 1]
    predictions, references = PREDICTIONS, [REFERENCES[place] for place in order]
    alone = np.concatenate(
        [
            torchmetrics_scores(tiny_encoder, [prediction], [reference], layer=2, idf=False)
            for prediction, reference in zip(predictions, references, strict=True)
        ]
    )
    found = score(bert_scorer(tiny_encoder, layer=2), predictions, [[text] for text in references])
    assert found == pytest.approx(alone, abs=1e-5)
    assert torchmetrics_scores(tiny_encoder, predictions, references, layer=2, idf=False) != pytest.approx(
        alone, abs=1e-2
    )


tokens = st.lists(st.integers(0, 8), min_size=0, max_size=8)


@given(references=st.lists(tokens, min_size=1, max_size=6))
def test_idf_equals_a_naive_count(references: list[list[int]]) -> None:
    found = idf_weights(references)
    assert set(found) == {token for ids in references for token in ids}
    for token, weight in found.items():
        holders = sum(1 for ids in references if token in ids)
        assert weight == pytest.approx(math.log((len(references) + 1) / (holders + 1)), abs=1e-12)


@given(sizes=st.tuples(st.integers(1, 5), st.integers(1, 5)), seed=st.integers(0, 1000))
def test_matching_equals_a_naive_loop(sizes: tuple[int, int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x, y = (
        torch.nn.functional.normalize(torch.randn(size, 4, generator=generator, dtype=torch.float64), dim=-1)
        for size in sizes
    )
    a, b = (torch.rand(size, generator=generator, dtype=torch.float64) for size in sizes)
    cosine = [[sum(p * q for p, q in zip(u, v, strict=True)) for v in y.tolist()] for u in x.tolist()]
    best = [max(row) for row in cosine], [max(column) for column in zip(*cosine, strict=True)]
    precision, recall = (
        sum(value * weight for value, weight in zip(values, weights.tolist(), strict=True)) / float(weights.sum())
        for values, weights in zip(best, (a, b), strict=True)
    )
    found = match_tokens(x, y, prediction_weights=a, reference_weights=b)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
    assert found == pytest.approx((precision, recall, f1), abs=1e-9)


def test_weights_that_sum_to_nothing_weigh_all_alike(tiny_encoder: str) -> None:
    """One reference: every token of it is in all references, and its IDF is 0."""
    plain = score(bert_scorer(tiny_encoder), ["비가 온다"], [["비가 온다"]])
    assert score(bert_scorer(tiny_encoder, idf=True), ["비가 온다"], [["비가 온다"]]) == pytest.approx(plain)
    assert plain[0] == pytest.approx([1.0, 1.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("prediction", ["", "  \n"])
def test_an_empty_prediction_scores_zero(tiny_encoder: str, prediction: str) -> None:
    assert score(bert_scorer(tiny_encoder), [prediction, "비"], [["눈"], ["비"]])[0].tolist() == [0.0, 0.0, 0.0]


def test_several_references(tiny_encoder: str) -> None:
    references = ["눈이 온다", "사자를 먹었다고 하고 서다"]
    each = score(bert_scorer(tiny_encoder), ["비가 온다."] * 2, [[text] for text in references])
    mean = score(bert_scorer(tiny_encoder), ["비가 온다."], [references])
    best = score(bert_scorer(tiny_encoder, multi_reference="max"), ["비가 온다."], [references])
    assert mean[0] == pytest.approx(each.mean(axis=0), abs=1e-6)
    assert best[0] == pytest.approx(each.max(axis=0), abs=1e-6)


@pytest.mark.parametrize("idf", [False, True])
def test_batch_sizes_and_shares_change_nothing(tiny_encoder: str, idf: bool) -> None:
    references = [[text, "비가 온다"] for text in REFERENCES]
    whole = score(bert_scorer(tiny_encoder, idf=idf, batch_size=1), PREDICTIONS, references)
    assert score(bert_scorer(tiny_encoder, idf=idf, batch_size=4), PREDICTIONS, references) == pytest.approx(
        whole, abs=1e-6
    )
    scorer = bert_scorer(tiny_encoder, idf=idf)
    for rank in range(2):
        rows = range(rank, 5, 2)
        part = scorer.score(PREDICTIONS, references, rows=rows, device=CPU)
        assert part == pytest.approx(whole[list(rows)], abs=1e-6)


def test_references_are_embedded_once(tiny_encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = bert_scorer(tiny_encoder)
    seen: list[str] = []
    encode = scorer.encoder._encode
    monkeypatch.setattr(scorer.encoder, "_encode", lambda texts: seen.extend(texts) or encode(texts))
    references = [["눈이 온다"], ["비가"], ["비가"]]
    first = score(scorer, ["비가 온다", "눈", "눈"], references)
    assert sorted(seen) == ["눈", "눈이 온다", "비가", "비가 온다"]
    seen.clear()
    assert score(scorer, ["비가 온다", "눈", "눈"], references) == pytest.approx(first, abs=0)
    assert sorted(seen) == ["눈", "비가 온다"]
    # Another split's references take the place of the first's.
    score(scorer, ["눈"], [["하나"]])
    assert list(scorer.encoder._known) == ["하나"]


def test_the_cache_is_bounded(tiny_encoder: str) -> None:
    scorer = bert_scorer(tiny_encoder)
    scorer.encoder.max_cached_bytes = 5 * 24 * 4
    found = score(scorer, ["비", "눈"], [["비가"], ["눈이 온다"]])
    assert sum(vectors.nbytes for vectors in scorer.encoder._known.values()) <= 5 * 24 * 4
    unbounded = score(bert_scorer(tiny_encoder), ["비", "눈"], [["비가"], ["눈이 온다"]])
    assert found == pytest.approx(unbounded, abs=1e-6)


def test_long_texts_are_cut_with_one_note(tiny_encoder: str) -> None:
    scorer = bert_scorer(tiny_encoder)
    long = "비가 온다 " * 30
    with pytest.warns(UserWarning, match=r"^model\.semantic\.bertscore: 1 texts are longer than the 40 tokens"):
        cut = score(scorer, [long], [["눈이 온다"]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score(scorer, [long + "비"], [["눈이 온다"]])
    kept = long.replace(" ", "")[:38]
    assert cut == pytest.approx(score(bert_scorer(tiny_encoder), [kept], [["눈이 온다"]]), abs=1e-5)


def test_loading_leaves_random_numbers_and_gradients_alone(tiny_encoder: str) -> None:
    before = torch.get_rng_state()
    scorer = bert_scorer(tiny_encoder)
    with torch.inference_mode():
        first = score(scorer, PREDICTIONS, [[text] for text in REFERENCES])
    assert torch.equal(torch.get_rng_state(), before)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again = score(scorer, PREDICTIONS, [[text] for text in REFERENCES])
    assert again.tolist() == first.tolist()


def test_a_layer_too_many(tiny_encoder: str) -> None:
    with pytest.raises(ValueError, match=r"^model\.semantic\.bertscore\.layer is 4; '.*' has 3 layers$"):
        score(bert_scorer(tiny_encoder, layer=4), ["비"], [["눈"]])


@pytest.mark.parametrize(("name", "reason"), [("/no/such", "no such folder"), ("nobody/such-model", ".*")])
def test_a_model_that_is_not_there(name: str, reason: str) -> None:
    with pytest.raises(
        ValueError, match=rf"^model\.semantic\.bertscore\.model_name '{name}' cannot be loaded \({reason}"
    ) as caught:
        score(bert_scorer(name), ["비"], [["눈"]])
    assert "\n" not in str(caught.value)
    assert "pass a folder with config.json" in str(caught.value)


def test_the_record_says_what_was_compared(tiny_encoder: str) -> None:
    assert bert_scorer("a/b", layer=4, idf=True).record() == {"bertscore_encoder": "a/b, layer 4, idf"}
    assert bert_scorer("a/b").record() == {"bertscore_encoder": "a/b, last layer, no idf"}
