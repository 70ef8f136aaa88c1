"""Tiny random models, built here so that no test needs a file or a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.automaton import build_automaton
from kosum_pl.decode.constraint.kinds import AutomatonConstraint, Constraint
from kosum_pl.decode.constraint.tables import TokenTables, build_tables
from kosum_pl.decode.constraint.token_bytes import token_bytes
from kosum_pl.decode.literals import DEFAULT_LITERALS
from tests.decode.driver import WORDS, Driver

SPECIAL: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
VOCABULARY = 40
CONTROL = ["<s>", "<pad>", "</s>", "<unk>"]


@pytest.fixture
def make_bart() -> Callable[..., PreTrainedModel]:
    """An encoder-decoder over 40 tokens, from a seed."""
    shape = {"width": VOCABULARY, "max_position_embeddings": 128, "tied": True, "has_bias": False}
    return lambda seed=0: _tiny("bart", seed=seed, **shape)


@pytest.fixture
def make_llama() -> Callable[..., PreTrainedModel]:
    """A decoder-only model over 40 tokens, from a seed."""
    return lambda seed=0: _tiny("llama", width=VOCABULARY, seed=seed, initializer_range=0.5)


@pytest.fixture
def left_padded() -> Callable[[list[list[int]]], dict[str, torch.Tensor]]:
    """Rows to `input_ids` and `attention_mask`, (B, P), padding in front."""

    def pad(rows: list[list[int]]) -> dict[str, torch.Tensor]:
        width = max(map(len, rows))
        return {
            "input_ids": torch.tensor([[SPECIAL["pad_token_id"]] * (width - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows]),
        }

    return pad


TRAINING_TEXT = (
    "#Person1#은 회의가 길어져서 저녁 약속에 늦을 것 같다고 말했다. 그래서 3시 30분에 다시 만나기로 했다!",
    "#Person2#는 KTX 표를 두 장 예매했고, Jimmy에게 값을 보냈다. 다음 주 토요일에 부산에 간다. ㅋㅋ",
    "The meeting was moved to 5pm, so they took the bus. 漢字 카페에서 커피를 마셨다, 「그래요」라고 했다.",
    "감기에 걸려서 병원에 다녀왔다. 의사는 따뜻한 물을 마시고 푹 쉬라고 했다. 약값은 12,000원이었다.",
)


def _trained(model: Any, trainer: Any, decoder: Any, **parts: Any) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(model)
    backend.decoder = decoder
    for name, part in parts.items():
        setattr(backend, name, part)
    backend.train_from_iterator(TRAINING_TEXT, trainer)
    return backend


def _byte_level() -> tokenizers.Tokenizer:
    trainer = trainers.BpeTrainer(**QUIET, vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _trained(models.BPE(), trainer, decoders.ByteLevel(), pre_tokenizer=split)


def _fallback_bpe() -> tokenizers.Tokenizer:
    """As Llama 2 has it: unknown characters become `<0xNN>` tokens."""
    names = [*CONTROL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trained = _trained(
        models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True),
        trainers.BpeTrainer(vocab_size=420, special_tokens=names, limit_alphabet=90, show_progress=False),
        decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        ),
        normalizer=normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
    )
    # Bytes are tokens of the vocabulary, no added ones: read back without the latter.
    state = json.loads(trained.to_str())
    state["added_tokens"] = state["added_tokens"][: len(CONTROL)]
    return tokenizers.Tokenizer.from_str(json.dumps(state))


def _metaspace(model: Any, trainer: Any) -> tokenizers.Tokenizer:
    return _trained(model, trainer, decoders.Metaspace(), pre_tokenizer=pre_tokenizers.Metaspace())


def _word_piece() -> tokenizers.Tokenizer:
    model, trainer = models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(**QUIET, vocab_size=400)
    return _trained(model, trainer, decoders.WordPiece(cleanup=False), pre_tokenizer=pre_tokenizers.BertPreTokenizer())


QUIET: dict[str, Any] = {"special_tokens": CONTROL, "show_progress": False}
KINDS: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "byte_level": _byte_level,
    "fallback_bpe": _fallback_bpe,
    "metaspace_bpe": lambda: _metaspace(models.BPE(unk_token="<unk>"), trainers.BpeTrainer(**QUIET, vocab_size=300)),
    "metaspace_unigram": lambda: _metaspace(
        models.Unigram(), trainers.UnigramTrainer(**QUIET, vocab_size=250, unk_token="<unk>")
    ),
    "word_piece": _word_piece,
}


@cache
def _tokenizer_of(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer of 250 to 420 tokens."""
    names = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=KINDS[kind](), clean_up_tokenization_spaces=False, **names)


@cache
def _tables_of(kind: str) -> TokenTables:
    return build_tables(build_automaton(Charset(), DEFAULT_LITERALS), token_bytes(_tokenizer_of(kind)))


@pytest.fixture(scope="session")
def tokenizer_of() -> Callable[[str], PreTrainedTokenizerFast]:
    """A tokenizer trained on four sentences: `byte_level`, `fallback_bpe`, `metaspace_bpe`, …; control ids 0 to 3."""
    return _tokenizer_of


@pytest.fixture(scope="session")
def tables_of() -> Callable[[str], TokenTables]:
    """Tables of such a tokenizer, for the Korean charset and the default literals."""
    return _tables_of


def _tiny(
    kind: str, *, width: int = 420, seed: int = 0, tied: bool = False, has_bias: bool = True, **changes: Any
) -> PreTrainedModel:
    """A random model of one layer: `llama`, `bart`, `t5`, `gemma2`; scores are large enough for clear choices."""
    torch.manual_seed(seed)
    common: dict[str, Any] = {**SPECIAL, "vocab_size": width, "tie_word_embeddings": tied, **changes}
    decoder = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    decoder |= {"num_key_value_heads": 2, "max_position_embeddings": 1024, "initializer_range": 0.7}
    sides = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sides |= {"d_model": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "max_position_embeddings": 1024}
    if kind == "llama":
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**decoder, **common}))
    elif kind == "gemma2":
        model = transformers.Gemma2ForCausalLM(
            transformers.Gemma2Config(**{**decoder, "head_dim": 8, "final_logit_softcapping": 4.0, **common})
        )
    elif kind == "bart":
        bart = {**sides, "init_std": 0.7, "decoder_start_token_id": 2, "forced_eos_token_id": None}
        model = transformers.BartForConditionalGeneration(transformers.BartConfig(**{**bart, **common}))
        model.final_logits_bias = torch.randn(1, width) if has_bias else torch.zeros(1, width)
    else:
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2, "initializer_factor": 3.0}
        model = transformers.T5ForConditionalGeneration(
            transformers.T5Config(**{**sizes, "decoder_start_token_id": 1, **common})
        )
    start = {"decoder_start_token_id": getattr(model.config, "decoder_start_token_id", None)}
    model.generation_config = transformers.GenerationConfig(**SPECIAL, **start)
    return model.eval()


@pytest.fixture(scope="session")
def tiny() -> Callable[..., PreTrainedModel]:
    """Builds a tiny random model of a kind, a vocabulary's width and a seed."""
    return _tiny


@pytest.fixture(scope="session")
def drive() -> Callable[..., Driver]:
    """Builds the shared driver: a tiny model under a constraint, by default the automaton over a trained vocabulary."""

    def build(
        model: str = "llama",
        *,
        vocabulary: str = "byte_level",
        constraint: Constraint | None = None,
        words: Sequence[Sequence[str]] = WORDS,
        width: int = 420,
        **fields: Any,
    ) -> Driver:
        rule = constraint or AutomatonConstraint(_tables_of(vocabulary), eos_token_ids=[2])
        built = _tiny(model, width=width)
        return Driver(model=built, constraint=rule, words=words, written=rule.tables.written, **fields)

    return build
