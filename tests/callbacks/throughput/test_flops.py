"""The arithmetic of a step's operations against a counter of real matrix products."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from kosum_pl.callbacks.throughput.flops import BatchLengths, FlopShape, Matrices, flop_shape, step_flops
from kosum_pl.models.adapters import AdapterSettings, add_adapter
from kosum_pl.modules.loss import cross_entropy_sum, supervised_logits

NUM_LAYERS = 6
LLAMA = {
    "vocab_size": 500, "hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": NUM_LAYERS,
    "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip
BART = {
    "vocab_size": 500, "d_model": 64, "encoder_layers": NUM_LAYERS, "decoder_layers": NUM_LAYERS,
    "encoder_ffn_dim": 160, "decoder_ffn_dim": 128, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
}  # fmt: skip
T5 = {
    "vocab_size": 500, "d_model": 64, "num_layers": NUM_LAYERS, "num_decoder_layers": NUM_LAYERS, "d_ff": 160,
    "d_kv": 24, "num_heads": 4, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False,
}  # fmt: skip
SHAPES = {
    "llama": LLAMA,
    "bart": BART,
    "t5": T5,
    "gpt2": {"vocab_size": 500, "n_embd": 64, "n_head": 4, "n_layer": NUM_LAYERS},
}
CAUSAL = ("llama", "gpt2")


def random_model(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    factory = AutoModelForCausalLM if kind in CAUSAL else AutoModelForSeq2SeqLM
    config = AutoConfig.for_model(kind, **SHAPES[kind])
    return factory.from_config(config, attn_implementation="eager").train()


def counted(model: PreTrainedModel, lengths: BatchLengths) -> int:
    """Operations of one forward and backward pass, as torch counts them."""
    is_causal = not lengths.source_length
    length = lengths.target_length if is_causal else lengths.source_length
    inputs: dict[str, Any] = {"input_ids": torch.randint(3, 500, (lengths.num_rows, length))}
    if not is_causal:
        inputs["decoder_input_ids"] = torch.randint(3, 500, (lengths.num_rows, lengths.target_length))
    targets = torch.full((lengths.num_rows, lengths.target_length), -100)
    targets.view(-1)[: lengths.num_supervised] = 7
    with FlopCounterMode(display=False) as counter:
        logits, labels = supervised_logits(model, targets, num_supervised=lengths.num_supervised, **inputs)
        cross_entropy_sum(logits, labels).backward()
    return counter.get_total_flops()


def lengths_of(kind: str) -> BatchLengths:
    if kind in CAUSAL:
        return BatchLengths(num_rows=3, target_length=50, num_supervised=31)
    return BatchLengths(num_rows=3, source_length=50, target_length=20, num_supervised=55)


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_full_training_is_what_torch_counts(kind: str) -> None:
    model = random_model(kind)
    expected = counted(model, lengths_of(kind))
    assert step_flops(flop_shape(model), lengths_of(kind)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("kind", ["llama", "bart", "t5"])
def test_lora_leaves_the_base_without_gradients(kind: str) -> None:
    pytest.importorskip("peft")
    model = random_model(kind)
    full = step_flops(flop_shape(model), lengths_of(kind))
    add_adapter(model, AdapterSettings(rank=4, dropout=0.0))
    expected = counted(model, lengths_of(kind))
    found = step_flops(flop_shape(model), lengths_of(kind))
    assert found == pytest.approx(expected, rel=0.04)
    assert found < 0.95 * full


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_recomputed_layers_are_one_more_forward_pass(kind: str) -> None:
    model = random_model(kind)
    plain = step_flops(flop_shape(model), lengths_of(kind))
    model.activation_checkpointing_enable({"use_reentrant": False})
    expected = counted(model, lengths_of(kind))
    found = step_flops(flop_shape(model), lengths_of(kind))
    # A recomputed layer stops before its last matrix, a sixth of these small ones.
    assert found == pytest.approx(expected, rel=0.06)
    assert found > 1.2 * plain


def test_an_encoder_without_gradients_has_no_backward_pass() -> None:
    model = random_model("t5")
    for weight in model.get_encoder().parameters():
        weight.requires_grad_(False)
    expected = counted(model, lengths_of("t5"))
    shape = flop_shape(model)
    assert not shape.source.has_backward
    # Keys and values of cross-attention learn, but what they read needs no gradient.
    assert step_flops(shape, lengths_of("t5")) == pytest.approx(expected, rel=0.08)


def test_widths_of_a_llama_are_counted_by_hand() -> None:
    shape = flop_shape(random_model("llama"))
    layer = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 160
    assert shape == FlopShape(
        target=Matrices(trained=NUM_LAYERS * layer), head=Matrices(trained=64 * 500), decoder_attention=NUM_LAYERS * 64
    )
