from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from kosum_pl.commands.doctor.language import (
    LanguageFit,
    all_syllables,
    common_syllables,
    language_findings,
    measure,
    measure_neighbours,
)
from kosum_pl.encode import load_tokenizer
from tests.commands.doctor.levels import levels, texts

FIT = LanguageFit(
    name="mine",
    model_name="mine",
    num_tokens=10,
    tokens_per_hangul=1.0,
    common_share=1.0,
    all_share=0.5,
    unknown_rate=0.0,
)


def test_the_common_syllables_are_those_of_the_standard() -> None:
    # Its first and last ones, one of each kind of gap, and the count.
    assert len(all_syllables()) == 11_172
    assert (common_syllables()[0], common_syllables()[-1], len(common_syllables())) == ("가", "힝", 2_350)
    assert {"똠", "펲", "뷁"}.isdisjoint(common_syllables())


def test_a_vocabulary_of_known_pieces() -> None:
    vocabulary = {"<unk>": 0, "▁가": 1, "나": 2, "다라": 3, "▁": 4, "똠": 5}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    fit = measure(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>"), ["나나 뷁"], name="tiny")
    # ▁ 나 나 ▁ <unk>: five tokens for three syllables.
    assert fit.tokens_per_hangul == pytest.approx(5 / 3)
    assert fit.unknown_rate == pytest.approx(1 / 5)
    assert fit.common_share == pytest.approx(2 / 2_350)
    assert fit.all_share == pytest.approx(3 / 11_172)


def test_findings_compare_with_the_best_neighbour() -> None:
    assert levels(language_findings(FIT, [])) == ["ok"]
    better = replace(FIT, name="other", tokens_per_hangul=0.5)
    assert texts(language_findings(FIT, [FIT, better]), "note") == [
        "other needs 0.50: this tokenizer spends 2.0 times as many tokens"
    ]
    assert texts(language_findings(replace(FIT, unknown_rate=0.02), []), "warning") == [
        "2.00% of the references' tokens are unknown ones, learnt and never said"
    ]


def test_texts_without_hangul() -> None:
    fit = measure(load_tokenizer("demo:bart")[0], ["abc"], name="demo")
    assert fit.tokens_per_hangul is None
    assert levels(language_findings(fit, [FIT])) == ["note"]


def test_neighbours_are_the_other_configs_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = [fit.name for fit in measure_neighbours("demo:bart", ["가나다"])]
    assert "demo_causal" in names
    assert "demo" not in names


@pytest.mark.shared
def test_kobart_lacks_as_many_syllables_as_its_config_says(shared_dir: Path) -> None:
    tokenizer, _ = load_tokenizer(str(shared_dir / "tokenizers" / "kobart"))
    fit = measure(tokenizer, ["가"], name="kobart")
    assert fit.all_share == pytest.approx(1 - 6_295 / 11_172)
