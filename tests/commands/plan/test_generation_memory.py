"""Keys and values of generation, held against those of real models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM

from kosum_pl.commands.plan.generation_memory import GenerationShape, cache_bytes
from kosum_pl.commands.plan.shape import model_shape
from kosum_pl.commands.plan.shapes import Numerics

ROWS, BEAMS, SOURCE, NEW = 3, 2, 11, 5


def real_bytes(cache: Any) -> int:
    parts = [cache] if not hasattr(cache, "self_attention_cache") else [
        cache.self_attention_cache, cache.cross_attention_cache
    ]  # fmt: skip
    tensors = [tensor for part in parts for layer in part.layers for tensor in (layer.keys, layer.values)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def llama() -> LlamaForCausalLM:
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            head_dim=16, intermediate_size=48, eos_token_id=None, pad_token_id=0,
        )
    )  # fmt: skip


def bart() -> BartForConditionalGeneration:
    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=50, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
            decoder_attention_heads=4, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=40,
            forced_eos_token_id=None, eos_token_id=None, pad_token_id=0, decoder_start_token_id=2,
        )
    )  # fmt: skip


@pytest.mark.parametrize("make", [llama, bart])
def test_bytes_are_those_of_the_real_cache(make: Any) -> None:
    torch.manual_seed(0)
    model = make().eval()
    is_causal = make is llama
    ids = torch.randint(3, 50, (ROWS, SOURCE))
    answer = model.generate(
        ids, attention_mask=torch.ones_like(ids), num_beams=BEAMS, max_new_tokens=NEW, return_dict_in_generate=True
    )
    generation = GenerationShape(
        num_rows=ROWS * BEAMS,
        source_length=0 if is_causal else SOURCE,
        # The last token is written and read by nobody.
        target_length=NEW - 1 + SOURCE if is_causal else NEW,
    )
    counted = cache_bytes(model_shape(make()), generation, Numerics(weight_bytes=4, compute_bytes=4))
    assert counted == real_bytes(answer.past_key_values)
