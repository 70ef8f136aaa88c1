"""The shipped tokenizers and tiny models, loaded as a user's checkpoint would be."""

from __future__ import annotations

import csv
from functools import cache
from statistics import median
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
)

from kosum_pl.demo.__main__ import FILES
from kosum_pl.demo.tokenizer import TAGS, VOCAB_SIZE
from kosum_pl.demo.values import FULL_NAMES, GIVEN_NAMES

SENTENCE = "#Person1#은 김민준이 다음 주 화요일 오후 3시에 #PhoneNumber#로 전화했다고 말한다."


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(FILES / name)


@pytest.fixture
def bart() -> PreTrainedTokenizerBase:
    return tokenizer_of("bart")


@pytest.fixture
def llama() -> PreTrainedTokenizerBase:
    return tokenizer_of("llama")


def test_vocabularies_have_the_configured_size(bart: PreTrainedTokenizerBase, llama: PreTrainedTokenizerBase) -> None:
    assert len(bart) == len(llama) == VOCAB_SIZE
    assert bart.get_vocab() == llama.get_vocab()


def test_bart_frames_a_text_and_llama_does_not(bart: PreTrainedTokenizerBase, llama: PreTrainedTokenizerBase) -> None:
    plain = llama(SENTENCE)["input_ids"]
    assert bart(SENTENCE)["input_ids"] == [bart.bos_token_id, *plain, bart.eos_token_id]
    assert (bart.bos_token, bart.eos_token, bart.pad_token) == ("<s>", "</s>", "<pad>")
    assert (llama.bos_token, llama.eos_token, llama.pad_token) == ("<s>", "<|end|>", "<pad>")


def test_tags_are_single_tokens_that_survive_decoding(bart: PreTrainedTokenizerBase) -> None:
    for tag in TAGS:
        assert len(bart(tag, add_special_tokens=False)["input_ids"]) == 1
        assert bart.decode(bart(tag)["input_ids"], skip_special_tokens=True) == tag


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_survives(text: str) -> None:
    tokenizer = tokenizer_of("llama")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text


def test_demo_texts_survive_and_are_short(bart: PreTrainedTokenizerBase) -> None:
    lengths = []
    for split in ("train", "dev"):
        for row in csv.DictReader((FILES / f"{split}.csv").read_text(encoding="utf-8").splitlines(keepends=True)):
            ids = bart(row["dialogue"], add_special_tokens=False)["input_ids"]
            assert bart.decode(ids, skip_special_tokens=True) == row["dialogue"]
            lengths.append(len(ids))
    assert median(lengths) < 120
    assert max(lengths) < 400  # prompt and summary fit into the 512 positions


@pytest.mark.parametrize("rest", ["이", "이가", "아,", " 씨", "은", "는", "예요", "이에요", "입니다", "라고"])
def test_given_names_are_one_token_whatever_follows(rest: str, bart: PreTrainedTokenizerBase) -> None:
    for name in GIVEN_NAMES:
        assert bart.decode(bart(f" {name}{rest}", add_special_tokens=False)["input_ids"][0]) == f" {name}"
    for name in FULL_NAMES:
        for start in ("", " "):
            ids = bart(start + name + rest, add_special_tokens=False)["input_ids"]
            assert [bart.decode([token]) for token in ids[:2]] == [start + name[0], name[1:]]


def test_template_renders_each_role_once(llama: PreTrainedTokenizerBase) -> None:
    chat = [
        {"role": "system", "content": "요약합니다."},
        {"role": "user", "content": "#Person1#: 안녕!"},
        {"role": "assistant", "content": "인사한다."},
    ]
    prompt = llama.apply_chat_template(chat[:2], tokenize=False, add_generation_prompt=True)
    assert prompt == "<s><|system|>요약합니다.<|end|><|user|>#Person1#: 안녕!<|end|><|assistant|>"
    assert llama.apply_chat_template(chat, tokenize=False) == prompt + "인사한다.<|end|>"
    ids = llama.apply_chat_template(chat[:2], add_generation_prompt=True, return_dict=False)
    assert ids.count(llama.bos_token_id) == 1
    assert llama.decode(ids) == prompt


@pytest.mark.parametrize(("name", "auto_class"), [("bart", AutoModelForSeq2SeqLM), ("llama", AutoModelForCausalLM)])
def test_a_tiny_model_runs_forward_and_its_ids_agree(name: str, auto_class: Any) -> None:
    tokenizer, config = tokenizer_of(name), AutoConfig.from_pretrained(FILES / name)
    torch.manual_seed(0)
    model = auto_class.from_config(config).eval()
    assert 500_000 < model.num_parameters() < 2_000_000
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    batch = tokenizer([SENTENCE, "안녕"], padding=True, return_tensors="pt")
    logits = model(**batch, labels=batch["input_ids"]).logits
    assert logits.shape == (*batch["input_ids"].shape, VOCAB_SIZE)
    assert torch.isfinite(logits).all()
    stored = GenerationConfig.from_pretrained(FILES / name)
    assert config.vocab_size == len(tokenizer)
    for token in ("bos_token_id", "pad_token_id"):
        assert getattr(config, token) == getattr(stored, token) == getattr(tokenizer, token)
    assert config.eos_token_id == tokenizer.eos_token_id


def test_bart_begins_with_the_end_token_and_llama_may_end_its_turn(
    bart: PreTrainedTokenizerBase, llama: PreTrainedTokenizerBase
) -> None:
    config, stored = AutoConfig.from_pretrained(FILES / "bart"), GenerationConfig.from_pretrained(FILES / "bart")
    model = AutoModelForSeq2SeqLM.from_config(config).eval()
    generated = model.generate(**bart("안녕", return_tensors="pt"), generation_config=stored, max_new_tokens=2)
    assert generated[0, 0] == bart.eos_token_id
    assert config.forced_eos_token_id is None
    stops = GenerationConfig.from_pretrained(FILES / "llama").eos_token_id
    assert {llama.convert_tokens_to_ids("<|end|>"), llama.convert_tokens_to_ids("</s>")} <= set(stops)
