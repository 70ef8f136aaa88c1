"""Norms of whole, groups and layers, against loops in fp64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from kosum_pl.callbacks.grad_norm.norms import GROUPS, GradNormMeter, group_of, layer_of
from kosum_pl.models.adapters import AdapterSettings
from kosum_pl.modules import CausalModule, Seq2SeqModule


@pytest.mark.parametrize(
    ("name", "group", "layer"),
    [
        ("model.model.shared.weight", "embeddings", None),
        ("model.model.encoder.embed_positions.weight", "embeddings", None),
        ("model.model.encoder.layernorm_embedding.weight", "encoder", None),
        ("model.model.encoder.layers.0.self_attn.k_proj.weight", "encoder", "encoder.00"),
        ("model.model.decoder.layers.11.final_layer_norm.bias", "decoder", "decoder.11"),
        ("model.encoder.block.2.layer.1.DenseReluDense.wi_0.weight", "encoder", "encoder.02"),
        ("model.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", "encoder", "encoder.00"),
        ("model.model.layers.17.mlp.gate_proj.weight", "layers", "layers.17"),
        ("model.model.norm.weight", "other", None),
        ("model.lm_head.weight", "head", None),
        ("model.transformer.h.3.ln_1.weight", "layers", "layers.03"),
        ("model.transformer.wte.weight", "embeddings", None),
        ("model.transformer.wpe.weight", "embeddings", None),
        ("model.model.layers.0.self_attn.q_proj.lora_A.default.weight", "adapter_a", "layers.00"),
        ("model.model.decoder.layers.1.fc1.lora_B.default.weight", "adapter_b", "decoder.01"),
        ("model.model.embed_tokens.lora_embedding_A.default", "adapter_a", None),
        ("model.model.layers.0.mlp.up_proj.lora_magnitude_vector.default.weight", "adapter_other", "layers.00"),
    ],
)
def test_a_name_tells_group_and_layer(name: str, group: str, layer: str | None) -> None:
    assert (group_of(name), layer_of(name)) == (group, layer)
    assert group in GROUPS


def loop_norm(tensors: list[torch.Tensor]) -> float:
    """Square by square, in fp64."""
    return math.sqrt(math.fsum(float(value) ** 2 for tensor in tensors for value in tensor.double().flatten()))


def model() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.Linear(5, 5), nn.Linear(5, 5)])
    return nn.ModuleDict({"embed_tokens": nn.Embedding(7, 5), "layers": layers, "lm_head": nn.Linear(5, 7)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_norms_are_those_of_a_loop(dtype: torch.dtype) -> None:
    parts = model().to(dtype)
    meter, measured = GradNormMeter(parts.named_parameters()), []
    gradients: list[dict[str, torch.Tensor]] = []
    for _ in range(3):
        for weight in parts.parameters():
            weight.grad = torch.randn_like(weight)
        gradients.append({name: weight.grad.clone() for name, weight in parts.named_parameters()})
        measured.append(meter.measure())
    norms = meter.read(measured)
    assert meter.groups == ("embeddings", "layers", "head")
    for step, given in enumerate(gradients):
        assert norms.total[step] == pytest.approx(loop_norm(list(given.values())), rel=1e-6)
        for group in meter.groups:
            expected = loop_norm([value for name, value in given.items() if group_of(name) == group])
            assert norms.groups[group][step] == pytest.approx(expected, rel=1e-6)
        for layer in ("layers.00", "layers.01"):
            expected = loop_norm([value for name, value in given.items() if layer_of(name) == layer])
            assert norms.layers[layer][step] == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(sum(values**2 for values in norms.groups.values()), norms.total**2, rtol=1e-12)


def test_half_precision_neither_overflows_nor_rounds() -> None:
    weight = nn.Parameter(torch.zeros(1000, dtype=torch.float16))
    weight.grad = torch.full((1000,), 4096.0, dtype=torch.float16)  # its square is above fp16's 65,504
    meter = GradNormMeter([("lm_head.weight", weight)])
    assert meter.read([meter.measure()]).total[0] == pytest.approx(4096 * math.sqrt(1000), rel=1e-6)


def test_missing_gradients_count_as_zero_and_frozen_weights_not_at_all() -> None:
    parts = model()
    parts["embed_tokens"].weight.requires_grad_(False)
    meter = GradNormMeter(parts.named_parameters())
    assert meter.groups == ("layers", "head")
    parts["lm_head"].bias.grad = torch.full((7,), 2.0)
    norms = meter.read([meter.measure()])
    assert norms.total[0] == norms.groups["head"][0] == pytest.approx(math.sqrt(28))
    assert norms.groups["layers"][0] == 0
    parts["lm_head"].bias.grad = None
    assert meter.read([meter.measure()]).total[0] == 0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_stays_in_its_group(value: float) -> None:
    parts = model()
    for weight in parts.parameters():
        weight.grad = torch.ones_like(weight)
    parts["lm_head"].bias.grad[0] = value
    meter = GradNormMeter(parts.named_parameters())
    norms = meter.read([meter.measure()])
    assert not math.isfinite(norms.total[0])
    assert not math.isfinite(norms.groups["head"][0])
    assert norms.groups["embeddings"][0] == pytest.approx(math.sqrt(35))


def test_nothing_to_train_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no parameter is trained; unfreeze one"):
        GradNormMeter([("weight", nn.Parameter(torch.zeros(1), requires_grad=False))])


def test_groups_of_the_demo_models() -> None:
    expected = {
        ("bart", None): ("embeddings", "encoder", "decoder"),
        ("llama", None): ("embeddings", "layers", "other"),
        ("llama", "lora"): ("adapter_a", "adapter_b"),
        ("llama", "dora"): ("adapter_a", "adapter_b", "adapter_other"),
    }
    for (name, adapter), groups in expected.items():
        settings = AdapterSettings(rank=2, use_dora=adapter == "dora") if adapter else None
        module_class = Seq2SeqModule if name == "bart" else CausalModule
        module = module_class(f"demo:{name}", random_init=True, rouge_tokenizer="char", adapter=settings)
        module.configure_model()
        assert GradNormMeter(module.named_parameters()).groups == groups
