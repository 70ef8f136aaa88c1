"""Tiny random models, built here so that no test needs a file or a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedModel, PreTrainedTokenizerFast

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.automaton import build_automaton
from kosum_pl.decode.constraint.head import constrained_head
from kosum_pl.decode.constraint.kinds import Constraint
from kosum_pl.decode.constraint.processors import GenerationShape
from kosum_pl.decode.constraint.tables import TokenTables, build_tables
from kosum_pl.decode.constraint.token_bytes import token_bytes
from kosum_pl.decode.literals import DEFAULT_LITERALS, foreign_places

SPECIAL: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
VOCABULARY = 40
CONTROL = ["<s>", "<pad>", "</s>", "<unk>"]


@pytest.fixture
def make_bart() -> Callable[..., transformers.BartForConditionalGeneration]:
    """An encoder-decoder of one layer a side, in evaluation mode, from a seed."""

    def make(seed: int = 0) -> PreTrainedModel:
        model = _tiny("bart", width=VOCABULARY, seed=seed, tied=True, max_position_embeddings=128)
        model.final_logits_bias.zero_()
        return model

    return make


@pytest.fixture
def make_llama() -> Callable[..., transformers.LlamaForCausalLM]:
    """A decoder-only model of one layer, in evaluation mode, from a seed."""
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


def _tiny(kind: str, *, width: int = 420, seed: int = 0, tied: bool = False, **changes: Any) -> PreTrainedModel:
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
        model.final_logits_bias = torch.randn(1, width)
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


@dataclass
class Boost(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """What a bad model does: it likes pieces of characters, and does not end."""

    ids: list[int]
    terminators: list[int]
    by: float

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        boosted = scores.clone()
        boosted[:, self.ids] += self.by
        boosted[:, self.terminators] -= 4 * self.by
        return boosted


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One call of `generate` under a constraint, or none: the same for every back end, model and decoding mode."""

    model: PreTrainedModel
    constraint: Constraint | None
    words: Sequence[Sequence[str]]
    written: Sequence[bytes]
    terminators: tuple[int, ...] = (2,)
    is_small: bool | None = None  # None: no block around the call
    boost: float = 6.0

    def __call__(
        self, max_new_tokens: int, *, seed: int = 0, shape: Mapping[str, Any] | None = None, **mode: Any
    ) -> Tensor:
        """Generated ids alone, (N, G)."""
        torch.manual_seed(seed)
        inputs, prompt_length = self._prompts(mode.pop("from_embeds", False))
        pieces = [index for index, piece in enumerate(self.written) if "\ufffd" in piece.decode("utf-8", "replace")]
        processors = transformers.LogitsProcessorList([*mode.pop("before", ())])
        processors.append(Boost(pieces, list(self.terminators), self.boost))
        with torch.no_grad(), ExitStack() as stack:
            if self.constraint is not None:
                known = {"num_beams": mode.get("num_beams", 1), **(shape or {})}
                asked = GenerationShape(prompt_length=prompt_length, max_new_tokens=max_new_tokens, **known)
                held = self.constraint.for_rows(self.words, asked)
                processors.append(held.processor)
                if self.is_small is not None:
                    stack.enter_context(constrained_head(self.model, held.columns, is_small=self.is_small))
            mode |= {"logits_processor": processors, "eos_token_id": list(self.terminators)}
            return self.model.generate(**inputs, max_new_tokens=max_new_tokens, **mode)[:, prompt_length:]

    def _prompts(self, from_embeds: bool) -> tuple[dict[str, Tensor], int]:
        """Prompts of different lengths, padded in front."""
        generator = torch.Generator().manual_seed(7)
        ids = torch.randint(4, 300, (len(self.words), 9), generator=generator)
        mask = (torch.arange(9) >= torch.arange(len(self.words))[:, None]).long()
        ids = ids.masked_fill(mask == 0, SPECIAL["pad_token_id"])
        if from_embeds:
            return {"inputs_embeds": self.model.get_input_embeddings()(ids).detach(), "attention_mask": mask}, 0
        return {"input_ids": ids, "attention_mask": mask}, 1 if self.model.config.is_encoder_decoder else 9

    def texts(self, ids: Tensor) -> list[tuple[int, str]]:
        """Row and text of every sequence, to its terminator; bytes that are no text become U+FFFD."""
        found = []
        for place, sequence in enumerate(ids.tolist()):
            ends = [at for at, token in enumerate(sequence) if token in self.terminators]
            kept = sequence[: ends[0]] if ends else sequence
            pieces = [self.written[token] if token < len(self.written) else "�".encode() for token in kept]
            text = b"".join(pieces).decode("utf-8", "replace")
            found.append((place * len(self.words) // len(ids), text))
        return found

    def num_foreign(self, ids: Tensor) -> int:
        """Characters that nothing allows, in all sequences; a broken one is among them."""
        return sum(
            len(foreign_places(text, charset=Charset(), literals=DEFAULT_LITERALS, row_words=self.words[row]))
            for row, text in self.texts(ids)
        )


@pytest.fixture(scope="session")
def driver() -> type[Driver]:
    """The shared driver of all constraints."""
    return Driver
