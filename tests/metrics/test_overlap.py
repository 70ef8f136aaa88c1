"""BLEU and chrF against sacrebleu's own corpus scores."""

from __future__ import annotations

import copy
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.metrics.overlap import OverlapMetric
from kosum_pl.metrics.tokenize import get_tokenizer

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


@given(rows=st.lists(st.tuples(texts, references), min_size=1, max_size=6), sizes=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_batches_add_up_to_the_corpus(rows: list[tuple[str, list[str]]], sizes: int) -> None:
    metric = OverlapMetric(tokenizer="char")
    for start in range(0, len(rows), sizes):
        part = rows[start : start + sizes]
        metric.update([text for text, _ in part], [row for _, row in part])
    found = metric.compute()
    expected = corpus([text for text, _ in rows], [row for _, row in rows], "char")
    assert (float(found["bleu"]), float(found["chrf"])) == pytest.approx(expected, abs=1e-9)


def test_a_tag_is_one_token_and_the_tokenizer_decides() -> None:
    """Over characters four in a row are shared; over words none are."""
    rows = ["#Person1#은 집에 간다"], [["#Person1#이 집에 간다"]]
    found = {}
    for name in ("char", "space"):
        metric = OverlapMetric(tokenizer=name)
        metric.update(*rows)
        found[name] = metric.compute()
    # 6 tokens: tag, 은, 집, 에, 간, 다: precisions 5/6, 3/5, 2/4, 1/3.
    assert float(found["char"]["bleu"]) == pytest.approx(100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** 0.25)
    assert float(found["space"]["bleu"]) < float(found["char"]["bleu"])
    assert float(found["space"]["chrf"]) == float(found["char"]["chrf"])


def test_two_instances_merge_into_one_and_survive_a_cast() -> None:
    import torch

    rows = [("비가 온다", ["비가 온다고"]), ("눈이 온다", ["눈"]), ("", ["비"])]
    whole = OverlapMetric(tokenizer="char")
    parts = [OverlapMetric(tokenizer="char").to(torch.bfloat16), OverlapMetric(tokenizer="char").bfloat16()]
    for place, (text, row) in enumerate(rows):
        whole.update([text], [row])
        parts[place % 2].update([text], [row])
    first, second = parts
    assert first.bleu_counts.dtype == torch.int64
    for state in ("bleu_counts", "chrf_counts", "num_rows"):
        setattr(first, state, getattr(first, state) + getattr(second, state))
    assert first.compute() == whole.compute()
    assert copy.deepcopy(whole).compute() == whole.compute()


def test_no_rows_and_no_references_are_errors() -> None:
    metric = OverlapMetric(tokenizer="char")
    with pytest.raises(ValueError, match=r"^BLEU: row 0 has no reference"):
        metric.update(["가"], [[]])
    metric.update([], [])
    with pytest.raises(ValueError, match=r"^BLEU has seen no row"):
        metric.compute()


def test_the_record_names_package_and_tokens() -> None:
    assert OverlapMetric(tokenizer="char").record() == {
        "bleu_tokenizer": f"sacrebleu {sacrebleu.__version__}, tokens of char"
    }


def test_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(
        ValueError, match=r"^model\.semantic\.overlap needs sacrebleu, .*: pip install kosum-pl\[semanti"
    ):
        OverlapMetric()
