"""Tiny random models, built here so that no test needs a file or a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, GenerationConfig, LlamaConfig, LlamaForCausalLM

SPECIAL: dict[str, Any] = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
VOCABULARY = 40


def _bart(seed: int = 0) -> BartForConditionalGeneration:
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=VOCABULARY,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=128,
        init_std=0.7,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
        **SPECIAL,
    )
    model = BartForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(**SPECIAL, decoder_start_token_id=2)
    return model


def _llama(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        initializer_range=0.5,
        **SPECIAL,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config = GenerationConfig(**SPECIAL)
    return model


@pytest.fixture
def make_bart() -> Callable[..., BartForConditionalGeneration]:
    """An encoder-decoder of one layer a side, in evaluation mode, from a seed."""
    return _bart


@pytest.fixture
def make_llama() -> Callable[..., LlamaForCausalLM]:
    """A decoder-only model of one layer, in evaluation mode, from a seed."""
    return _llama


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
