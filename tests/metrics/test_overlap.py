"""BLEU and chrF against sacrebleu's own corpus scores."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.metrics import SemanticSettings
from kosum_pl.metrics.settings import Metrics, ScoreSettings
from kosum_pl.metrics.tokenize import get_tokenizer
from tests.metrics.rows import prediction, scored

sacrebleu = pytest.importorskip("sacrebleu", reason="the extra 'semantic' is not installed")

texts = st.text(alphabet="가나다라 #1.", min_size=0, max_size=14)
references = st.lists(texts.filter(lambda text: bool(text.strip())), min_size=1, max_size=3)


def corpus(predictions: list[str], rows: list[list[str]], tokenizer: str) -> tuple[float, float]:
    """Both scores by the public functions, references as streams with gaps."""
    width = max(map(len, rows))
    streams = [[row[place] if place < len(row) else None for row in rows] for place in range(width)]
    tokenize = get_tokenizer(tokenizer)
    joined = [[None if text is None else " ".join(tokenize(text)) for text in stream] for stream in streams]
    bleu = sacrebleu.corpus_bleu([" ".join(tokenize(text)) for text in predictions], joined, tokenize="none")
    return bleu.score, sacrebleu.corpus_chrf(predictions, streams).score


def overlap(rows: list[tuple[str, list[str]]], tokenizer: str = "char") -> tuple[float, float]:
    predictions = [prediction(*row) for row in rows]
    found = scored(predictions, "bleu", "chrf", rouge_tokenizer=tokenizer, semantic=SemanticSettings())
    return found["bleu"], found["chrf"]


@given(rows=st.lists(st.tuples(texts, references), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_rows_add_up_to_the_corpus(rows: list[tuple[str, list[str]]]) -> None:
    expected = corpus([text for text, _ in rows], [row for _, row in rows], "char")
    assert overlap(rows) == pytest.approx(expected, abs=1e-9)


def test_a_tag_is_one_token_and_the_tokenizer_decides() -> None:
    """Over characters four in a row are shared; over words none are."""
    rows = [("#Person1#은 집에 간다", ["#Person1#이 집에 간다"])]
    (bleu, chrf), by_words = overlap(rows), overlap(rows, "space")
    # 6 tokens: tag, 은, 집, 에, 간, 다: precisions 5/6, 3/5, 2/4, 1/3.
    assert bleu == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert by_words[0] < bleu
    assert by_words[1] == chrf


def test_without_references_there_is_neither() -> None:
    assert scored([prediction("가")], "bleu", "chrf", semantic=SemanticSettings()) == {}


def test_the_record_names_package_and_tokens() -> None:
    record = Metrics(ScoreSettings(rouge_tokenizer="char", semantic=SemanticSettings())).record()
    assert record["bleu_tokenizer"] == f"sacrebleu {sacrebleu.__version__}, tokens of char"


def test_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(ValueError, match=r"^model\.semantic\.overlap needs sacrebleu, .*: pip install sacrebleu"):
        Metrics(ScoreSettings(semantic=SemanticSettings()))
