"""A GGUF file written here by the `gguf` package, read through the module's own loading."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from kosum_pl.models.adapters import AdapterSettings, add_adapter
from kosum_pl.models.source import ModelSource, load_config, load_model

SHAPE = {
    "vocab_size": 96,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 96,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}
# Qwen2's names in transformers, and in a GGUF file.
_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers": "blk",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
}


def write_gguf(model: PreTrainedModel, path: Path) -> None:
    """Matrices in eight bits, vectors as they are."""
    config = model.config
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    for name, weight in model.state_dict().items():
        for ours, theirs in _NAMES.items():
            name = name.replace(ours, theirs)
        values = weight.numpy().astype(np.float32)
        if values.ndim == 1:
            writer.add_tensor(name, values)
        else:
            packed = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def original() -> PreTrainedModel:
    torch.manual_seed(3)
    return Qwen2ForCausalLM(Qwen2Config(**SHAPE)).eval()


@pytest.fixture(scope="module")
def folder(original: PreTrainedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf")
    write_gguf(original, path / "tiny.gguf")
    return path


def loaded(folder: Path, quantization: str = "none") -> PreTrainedModel:
    source = ModelSource(model_name=str(folder), gguf_file="tiny.gguf", quantization=quantization)  # type: ignore[arg-type]
    return load_model(source, config=load_config(source, num_tokens=96), is_causal=True)


def test_a_gguf_file_is_unpacked_into_trainable_weights(folder: Path, original: PreTrainedModel) -> None:
    model = loaded(folder)
    weights = dict(model.named_parameters())
    for name, weight in original.named_parameters():
        assert weights[name].dtype == torch.float32
        # Eight bits a value, a scale for every 32: half a step of the largest.
        assert torch.allclose(weights[name], weight, atol=float(weight.abs().max()) / 127 * 0.51), name
    ids = torch.arange(20).unsqueeze(0)
    model(input_ids=ids, labels=ids).loss.backward()
    assert all(weight.grad is not None for weight in model.parameters())


def test_it_can_be_saved_as_any_other_model(folder: Path, tmp_path: Path) -> None:
    model = loaded(folder)
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(again.state_dict()[name].equal(weight) for name, weight in model.state_dict().items())


def test_an_adapter_is_trained_on_it_in_four_bits(folder: Path) -> None:
    bitsandbytes = pytest.importorskip("bitsandbytes")
    model = loaded(folder, "nf4")
    assert type(model.model.layers[0].mlp.up_proj) is bitsandbytes.nn.Linear4bit
    add_adapter(model, AdapterSettings(rank=2, dropout=0.0))
    ids = torch.arange(20).unsqueeze(0)
    model(input_ids=ids, labels=ids).loss.backward()
    assert any(weight.grad is not None and weight.grad.abs().max() > 0 for weight in model.parameters())
