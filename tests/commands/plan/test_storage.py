"""Bytes of weights, moments, keys and values against those of real models and optimizers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GenerationConfig

from kosum_pl.commands.plan.meta_model import model_shape
from kosum_pl.commands.plan.settings import PlanSettings
from kosum_pl.commands.plan.shapes import BatchShape
from kosum_pl.commands.plan.storage import cache_bytes, nf4_bytes, optimizer_bytes, weight_bytes
from kosum_pl.models.adapters import AdapterSettings, add_adapter
from kosum_pl.models.quantization import Quantization, QuantizationName
from kosum_pl.models.source import ModelSource
from kosum_pl.modules.optim import OptimizerSettings, build_optimizer
from tests.commands.plan.real_models import make, quantized, step, storage_bytes


@pytest.mark.parametrize("is_double", [True, False])
@pytest.mark.parametrize("name", ["nf4", "int8"])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_bytes_of_a_quantized_model_are_those_it_stores(kind: str, name: QuantizationName, is_double: bool) -> None:
    model = make(kind, dtype=torch.bfloat16)
    stored = quantized(model, Quantization(name=name, is_double=is_double)).parameters()
    settings = step(weight_bytes=2, quantization=name, is_double=is_double)
    counted = weight_bytes(model_shape(model), settings)
    assert counted == pytest.approx(sum(map(_quantized_bytes, stored)), rel=1e-4)


def _quantized_bytes(weight: nn.Parameter) -> int:
    total = storage_bytes(weight)
    for state in (getattr(weight, "quant_state", None), getattr(getattr(weight, "quant_state", None), "state2", None)):
        if state is not None:
            total += sum(storage_bytes(value) for value in vars(state).values() if isinstance(value, Tensor))
    scales = getattr(weight, "SCB", None)
    return total + (storage_bytes(scales) if scales is not None else 0)


def test_nf4_is_four_bits_and_its_scales() -> None:
    assert nf4_bytes(64 * 256, is_double=False) == 64 * 128 + 256 * 4 + 16 * 4
    assert nf4_bytes(64 * 256, is_double=True) == 64 * 128 + 256 + 4 + 257 * 4 + 16 * 4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"])
@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
def test_bytes_of_moments_are_those_of_the_real_optimizer(name: Any, dtype: torch.dtype) -> None:
    weights = [nn.Parameter(torch.randn(shape).to(dtype)) for shape in ((128, 100), (64,), (300, 70), (63, 65))]
    optimizer, _ = build_optimizer(
        [(str(number), weight) for number, weight in enumerate(weights)],
        settings=OptimizerSettings(optimizer=name),
        num_training_steps=2,
    )
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    # One table of codes serves all tensors; `step` is a number on the host.
    real = {
        value.untyped_storage().data_ptr(): storage_bytes(value)
        for state in optimizer.state.values()
        for key, value in state.items()
        if isinstance(value, Tensor) and key != "step"
    }
    sizes = [weight.numel() for weight in weights]
    assert optimizer_bytes(sizes, optimizer=name, parameter_bytes=dtype.itemsize) == sum(real.values())


@pytest.mark.parametrize(
    ("quantization", "compute"), [("none", "auto"), ("nf4", "auto"), ("nf4", "float32"), ("int8", "auto")]
)
def test_an_adapter_is_as_wide_as_planned(quantization: QuantizationName, compute: str) -> None:
    source = ModelSource(
        model_name="x", dtype="bfloat16", quantization=quantization, quantization_compute_dtype=compute
    )
    adapter = AdapterSettings(rank=4)
    model = quantized(make("llama", dtype=torch.bfloat16), source.quantizer)
    add_adapter(model, adapter)
    assert {weight.dtype.itemsize for weight in model.parameters() if weight.requires_grad} == {4}
    settings = PlanSettings(
        source=source,
        is_causal=True,
        num_tokens=300,
        adapter=adapter,
        gradient_checkpointing=False,
        optimizer="adamw",
        precision="bf16-mixed",
        accumulate_grad_batches=1,
        max_batch_tokens=None,
        batch_size=4,
        max_source_tokens=64,
        max_summary_tokens=32,
    )
    assert settings.step(torch.bfloat16).adapter_bytes == 4


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_keys_and_values_are_those_of_the_real_cache(kind: str) -> None:
    num_rows, num_beams, length, num_new = 3, 2, 11, 5
    model = make(kind).eval()
    model.generation_config = GenerationConfig(pad_token_id=0, decoder_start_token_id=2)
    ids = torch.randint(3, 300, (num_rows, length))
    answer: Any = model.generate(  # type: ignore[operator]
        ids, attention_mask=torch.ones_like(ids), num_beams=num_beams, max_new_tokens=num_new,
        return_dict_in_generate=True,
    )  # fmt: skip
    cache, is_causal = answer.past_key_values, kind == "llama"
    caches = [cache] if is_causal else [cache.self_attention_cache, cache.cross_attention_cache]
    tensors = [tensor for part in caches for layer in part.layers for tensor in (layer.keys, layer.values)]
    generation = BatchShape(
        num_rows=num_rows * num_beams,
        source_length=0 if is_causal else length,
        # The last token is written and read by nobody.
        target_length=num_new - 1 + length if is_causal else num_new,
    )
    counted = cache_bytes(model_shape(model), generation, step())
    assert counted == sum(tensor.numel() * tensor.element_size() for tensor in tensors)
