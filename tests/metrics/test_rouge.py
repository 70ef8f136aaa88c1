"""ROUGE, against the package `rouge_score` with the same tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from kosum_pl.metrics import ScoreSettings, get_tokenizer, rouge_scores, score_rows
from kosum_pl.metrics.rouge import lcs_length
from kosum_pl.metrics.settings import Metrics
from tests.metrics.rows import prediction, scored

NAMES = ["rouge1", "rouge2", "rougeL"]
words = st.sampled_from(["가", "나", "다", "라", "#Person1#"])
token_lists = st.lists(words, max_size=12)
sentences = st.lists(words, min_size=1, max_size=10).map(" ".join)
rows = st.lists(st.tuples(sentences, st.lists(sentences, min_size=1, max_size=3)), min_size=1, max_size=6)


class SameTokens:
    """Our tokens, as `rouge_score` asks for them."""

    def __init__(self, tokenize: Any) -> None:
        self.tokenize = tokenize


def oracle(prediction: str, references: Sequence[str], *, tokenize: Any, rule: str) -> list[float]:
    """F1 by `rouge_score`, 0-1."""
    scorer = rouge_scorer.RougeScorer(NAMES, tokenizer=SameTokens(tokenize))
    if rule == "max":
        best = scorer.score_multi(list(references), prediction)
        return [best[name].fmeasure for name in NAMES]
    each = [scorer.score(reference, prediction) for reference in references]
    return [sum(scores[name].fmeasure for scores in each) / len(each) for name in NAMES]


def rouge(
    rows: Sequence[tuple[str, Sequence[str]]], *, tokenizer: str = "char", rule: str = "mean"
) -> dict[str, float]:
    """Scores of rows."""
    settings = {"rouge_tokenizer": tokenizer, "multi_reference": rule}
    return scored([prediction(*row) for row in rows], *NAMES, "rouge_sum", "rouge_mean", **settings)


@given(prediction=token_lists, reference=token_lists)
@settings(max_examples=500, deadline=None)
def test_pairs_equal_rouge_score(prediction: list[str], reference: list[str]) -> None:
    expected = oracle(" ".join(prediction), [" ".join(reference)], tokenize=str.split, rule="mean")
    assert rouge_scores(prediction, reference) == pytest.approx(expected, abs=1e-12)


@given(first=token_lists, second=token_lists)
@settings(max_examples=300, deadline=None)
def test_lcs_equals_the_table(first: list[str], second: list[str]) -> None:
    table = np.zeros((len(first) + 1, len(second) + 1), dtype=int)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            table[i + 1, j + 1] = table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
    assert lcs_length(first, second) == table[-1, -1] == lcs_length(second, first)


@given(rows=rows, rule=st.sampled_from(["mean", "max"]))
@settings(max_examples=100, deadline=None)
def test_a_split_equals_rouge_score(rows: list[tuple[str, list[str]]], rule: str) -> None:
    tokenize = get_tokenizer("space")
    each = [oracle(prediction, references, tokenize=tokenize, rule=rule) for prediction, references in rows]
    expected = 100 * np.mean(each, axis=0)
    scores = rouge(rows, tokenizer="space", rule=rule)
    assert [scores[name] for name in NAMES] == pytest.approx(expected, abs=1e-9)
    assert scores["rouge_sum"] == pytest.approx(sum(expected), abs=1e-9)
    assert scores["rouge_mean"] == pytest.approx(sum(expected) / 3, abs=1e-9)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["kiwi", "mecab", "char", "space"])
@pytest.mark.parametrize("rule", ["mean", "max"])
def test_real_rows_equal_rouge_score(dev_references: list[list[str]], name: str, rule: str) -> None:
    """The second person's summary against the two others; 60 rows, as the other package is slow."""
    chosen = dev_references[::8]
    predictions, references = [row[1] for row in chosen], [[row[0], row[2]] for row in chosen]
    tokenizer = get_tokenizer(name)
    known = dict(zip(flat := [text for row in chosen for text in row], tokenizer.tokenize_batch(flat), strict=True))
    expected = [
        oracle(prediction, texts, tokenize=known.__getitem__, rule=rule)
        for prediction, texts in zip(predictions, references, strict=True)
    ]
    scores = rouge(list(zip(predictions, references, strict=True)), tokenizer=name, rule=rule)
    assert [scores[name] for name in NAMES] == pytest.approx(100 * np.mean(expected, axis=0), abs=1e-9)
    assert 60 < scores["rouge_sum"] < 240


@pytest.mark.parametrize("name", ["kiwi", "char", "space"])
def test_korean_is_scored(name: str) -> None:
    """The stock tokenizer deletes Hangul: pure Korean scores 0, a shared tag alone scores 1."""
    stock = rouge_scorer.RougeScorer(["rouge1"])
    assert stock.score("비가 온다.", "비가 온다.")["rouge1"].fmeasure == 0
    assert stock.score("#Person1#은 화가 났다.", "#Person1#의 새 자전거")["rouge1"].fmeasure == 1
    tokenizer = get_tokenizer(name)
    same, other = score_rows(
        ["비가 온다.", "#Person1#의 새 자전거"], [["비가 온다."], ["#Person1#은 화가 났다."]], tokenizer=tokenizer
    )
    assert same == pytest.approx([1.0, 1.0, 1.0])
    assert 0 < other[0] < 0.5
    assert other[1] == 0


def test_an_empty_prediction_scores_zero() -> None:
    assert rouge([("", ["비"]), ("비", ["비"])])["rouge1"] == 50.0


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        (["가"], [], "ROUGE got 1 predictions, 0 references; give one of each a row"),
        (["가"], [["나"], ["다"]], "ROUGE got 1 predictions, 2 references; give one of each a row"),
        ("가", [["나"]], "ROUGE: predictions is str; give a list with one entry a row"),
        (["가"], "나", "ROUGE: references is str; give a list with one entry a row"),
        (["가", "나"], [["가"], []], "ROUGE: row 1 has no reference; leave it out, as nothing can be measured on it"),
        (["가"], [[" "]], "ROUGE: row 0 has no reference; leave it out, as nothing can be measured on it"),
        (["가"], [["가", " "]], "ROUGE: reference 1 of row 0 is empty; leave it out"),
        (["가"], ["가"], "ROUGE: references of row 0 are a bare text; give a list of texts a row"),
    ],
)
def test_wrong_rows_are_named(predictions: Any, references: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^ROUGE") as caught:
        score_rows(predictions, references, tokenizer=get_tokenizer("char"))
    assert str(caught.value) == message


def test_unknown_rule() -> None:
    with pytest.raises(ValueError, match=r"^multi_reference is 'best'; write mean or max$"):
        rouge([("비", ["비"])], rule="best")


def test_tokenizer_and_rule_stand_beside_the_scores() -> None:
    record = Metrics(ScoreSettings(rouge_tokenizer="kiwi", multi_reference="max")).record()
    assert (record["rouge_tokenizer"], record["multi_reference"]) == (get_tokenizer("kiwi").label, "max")
    assert record["rouge_tokenizer"].startswith("kiwi 0.")
