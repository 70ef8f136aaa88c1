"""Tiny tokenizers with the templates and post-processors that real ones have."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SENTENCES = [
    "#Person1#: 안녕하세요, 오늘 회의는 몇 시에 시작하나요?",
    "#Person2#: 오후 3시에 시작해요. 자료는 제가 준비할게요.",
    "#Person1#: 좋아요. 그럼 KTX 표는 누가 예매하죠?",
    "#Person2#: 제가 예매했어요. 요금은 59,800원입니다.",
    "당신은 한국어 대화를 요약하는 전문가입니다. 다음 대화를 한두 문장으로 요약해 주세요.",
    "누가 무엇을 왜 하는지 핵심만 간결한 한국어 문장으로 정리하고, 이름, 시간, 금액은 그대로 옮깁니다.",
    "#Person1#과 #Person2#는 회의 시간과 기차표에 대해 이야기합니다.",
    "<|im_start|>user assistant system model",
]

# As Qwen3 does it: the prompt opens an empty think block, the history is written without one.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
_LLAMA_TURNS = (
    "{% for m in messages %}<|start|>{{ m['role'] }}<|end|>\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|end|>\n\n{% endif %}"
)
LLAMA = "{{ bos_token }}" + _LLAMA_TURNS
LLAMA_NO_BOS = _LLAMA_TURNS
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "<start_of_turn>{{ role }}\n{{ m['content'] | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
SILENT = (
    "{% for m in messages if m['role'] != 'system' %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATE_WITHOUT_TERMINATOR = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TAGS = ["#Person1#", "#Person2#"]


def byte_level(special: list[str], **names: Any) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with these special tokens, and tags as plain added tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in TAGS])
    return wrap(tokenizer, **names)


def wrap(tokenizer: Tokenizer, **names: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False, **names)


def around(tokenizer: PreTrainedTokenizerFast, template: str) -> PreTrainedTokenizerFast:
    """The tokenizer with a post-processor, such as `<s> $A </s>`."""
    special = [(token, tokenizer.convert_tokens_to_ids(token)) for token in template.split() if token != "$A"]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    return tokenizer


def make_chatml(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = byte_level(special, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("</think>", special=False)])
    tokenizer.chat_template = template
    return tokenizer


def make_llama(template: str = LLAMA) -> PreTrainedTokenizerFast:
    special = ["<|begin|>", "<|end_of_text|>", "<|start|>", "<|end|>", "<|eot_id|>"]
    tokenizer = byte_level(special, bos_token="<|begin|>", eos_token="<|eot_id|>", pad_token="<|eot_id|>")
    tokenizer.chat_template = template
    return around(tokenizer, "<|begin|> $A")


def make_gemma() -> PreTrainedTokenizerFast:
    special = ["<bos>", "<eos>", "<pad>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = byte_level(special, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    tokenizer.chat_template = GEMMA
    return around(tokenizer, "<bos> $A")


def make_bart(post_processor: str | None = "<s> $A </s>") -> PreTrainedTokenizerFast:
    special = ["<s>", "</s>", "<pad>", "<mask>", "ㅠㅠ"]
    tokenizer = byte_level(special, bos_token="<s>", eos_token="</s>", pad_token="<pad>", mask_token="<mask>")
    return around(tokenizer, post_processor) if post_processor else tokenizer


def make_t5() -> PreTrainedTokenizerFast:
    """Unigram over NFKC: `</s>` is a piece of the vocabulary, and `＜/s＞` becomes it."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        special_tokens=special,
        unk_token="<unk>",
        initial_alphabet=["<", "/", "s", ">", "｜"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return around(wrap(tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"), "$A </s>")


CAUSAL: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "chatml": make_chatml,
    "llama": make_llama,
    "llama-no-bos": lambda: make_llama(LLAMA_NO_BOS),
    "gemma": make_gemma,
    "silent": lambda: make_chatml(SILENT),
}
SEQ2SEQ: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "bart": make_bart,
    "kobart": lambda: make_bart(None),
    "t5": make_t5,
}


@pytest.fixture(scope="session")
def tiny() -> SimpleNamespace:
    """The makers above, for tests that change a tokenizer."""
    return SimpleNamespace(
        chatml=make_chatml,
        llama=make_llama,
        gemma=make_gemma,
        bart=make_bart,
        t5=make_t5,
        wrap=wrap,
        around=around,
        template=CHATML,
        llama_template=LLAMA,
        template_without_terminator=TEMPLATE_WITHOUT_TERMINATOR,
    )


@pytest.fixture(scope="session")
def causal_tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    return {name: make() for name, make in CAUSAL.items()}


@pytest.fixture(scope="session")
def seq2seq_tokenizers() -> dict[str, PreTrainedTokenizerFast]:
    return {name: make() for name, make in SEQ2SEQ.items()}
