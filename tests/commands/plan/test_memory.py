"""Activations and the peak of a step against real tensors: what autograd saves, and storages alive at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.traced_memory import LiveStorages
from kosum_pl.commands.plan.activations import layer_bytes
from kosum_pl.commands.plan.memory import activation_bytes, estimate, logit_bytes, weight_copy_bytes
from kosum_pl.commands.plan.meta_model import model_shape
from kosum_pl.commands.plan.shapes import BatchShape, LayerShape, ModelShape
from kosum_pl.models.adapters import AdapterSettings, add_adapter
from kosum_pl.models.quantization import Quantization
from tests.commands.plan.real_models import NUM_SUPERVISED, batch_of, forward, make, quantized, saved_bytes, step


@pytest.mark.parametrize("has_padding", [True, False])
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        *((kind, {"attention": name}) for kind in ("llama", "qwen3") for name in ("sdpa", "eager")),
        *(("bart", {"attention": name, "dropout": 0.0}) for name in ("sdpa", "eager")),
        ("bart", {"dropout": 0.1}),
    ],
)
def test_activations_are_what_autograd_saves(kind: str, fields: dict[str, Any], has_padding: bool) -> None:
    model = make(kind, **fields)
    counted = activation_bytes(model_shape(model), batch_of(model), step(has_padding=has_padding))
    assert counted == pytest.approx(saved_bytes(model, has_padding=has_padding), rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_16_bit_weights_and_autocast(kind: str, dtype: torch.dtype) -> None:
    model = make(kind, dtype=dtype)
    shape, settings = model_shape(model), step(weight_bytes=dtype.itemsize, compute_bytes=2, is_autocast=True)
    counted = activation_bytes(shape, batch_of(model), settings) + weight_copy_bytes(shape, settings)
    assert counted == pytest.approx(saved_bytes(model, is_autocast=True), rel=0.02)
    assert (weight_copy_bytes(shape, settings) > 0) == (dtype == torch.float32)


@pytest.mark.parametrize(
    ("kind", "base", "is_autocast", "dropout"),
    [
        *((kind, "float32", False, dropout) for kind in ("llama", "qwen3") for dropout in (0.0, 0.1)),
        *((kind, "bfloat16", True, dropout) for kind in ("llama", "qwen3") for dropout in (0.0, 0.1)),
        ("llama", "nf4", False, 0.05),
        ("llama", "nf4", True, 0.05),
    ],
)
def test_a_frozen_base_keeps_the_inputs_of_its_adapters(
    kind: str, base: str, is_autocast: bool, dropout: float
) -> None:
    dtype = torch.float32 if base == "float32" else torch.bfloat16
    model, adapter = make(kind, dtype=dtype), AdapterSettings(rank=4, dropout=dropout)
    shape = model_shape(make(kind, device="meta"), adapter=adapter)
    if base == "nf4":
        model = quantized(model, Quantization(name="nf4"))
    add_adapter(model, adapter)
    settings = step(
        weight_bytes=dtype.itemsize,
        is_autocast=is_autocast,
        is_base_trained=False,
        adapter_rank=4,
        adapter_bytes=4,
        mask_bytes=4,  # of an input that the fp32 adapter has widened
        has_adapter_dropout=dropout > 0,
        quantization="nf4" if base == "nf4" else "none",
    )
    counted = activation_bytes(shape, batch_of(model), settings)
    # The first layer's input is the frozen embedding's output, so a part of it is not saved: a third of three layers.
    assert counted == pytest.approx(saved_bytes(model, is_autocast=is_autocast), rel=0.07)


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_checkpointing_keeps_one_tensor_a_layer(kind: str) -> None:
    model = make(kind)
    model.activation_checkpointing_enable({"use_reentrant": False})
    shape, batch = model_shape(model), batch_of(model)
    counted = activation_bytes(shape, batch, step(is_checkpointed=True))
    assert counted == pytest.approx(saved_bytes(model), rel=0.15)
    assert counted < activation_bytes(shape, batch, step()) / 5


@pytest.mark.parametrize("adapter", [None, AdapterSettings(rank=4)])
@pytest.mark.parametrize("is_checkpointed", [False, True])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_the_peak_is_that_of_live_storages(kind: str, is_checkpointed: bool, adapter: AdapterSettings | None) -> None:
    model = make(kind)
    shape = model_shape(model, adapter=adapter)
    if is_checkpointed:
        model.activation_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], foreach=True)
    targets = torch.zeros(NUM_SUPERVISED, dtype=torch.long)
    nn.functional.cross_entropy(forward(model), targets).backward()
    optimizer.step()
    optimizer.zero_grad()
    moments = (value for state in optimizer.state.values() for value in state.values())
    with LiveStorages([*model.parameters(), *moments]) as storages:
        nn.functional.cross_entropy(forward(model), targets).backward()
        optimizer.step()
    settings = step(
        is_base_trained=adapter is None,
        adapter_rank=4 if adapter else 0,
        has_adapter_dropout=adapter is not None,
        is_checkpointed=is_checkpointed,
    )
    counted = estimate(shape, batch_of(model), settings)
    assert counted.peak == pytest.approx(storages.peak, rel=0.15 if is_checkpointed else 0.1)


SMALL = ModelShape(
    hidden=8,
    vocab_size=100,
    decoder=(LayerShape(hidden=8, query=8, key_value=8, intermediate=16, num_heads=2, num_parameters=640),),
    linears=((8, 8),) * 4 + ((16, 8),) * 3,
    num_other=816,
    base=(640, 816),
)
ROWS = BatchShape(num_rows=2, target_length=10, num_supervised=5)


def test_moments_add_up() -> None:
    counted = estimate(SMALL, ROWS, step(mask_bytes=1))
    assert (counted.weights, counted.gradients, counted.optimizer) == (1456 * 4, 1456 * 4, 1456 * 8)
    assert counted.logits == 5 * 100 * 12
    static = 1456 * 12
    assert counted.moments["optimizer step"] == static + 1456 * 8
    assert counted.moments["loss"] == static + counted.activations + counted.logits
    assert counted.peak == max(counted.moments.values())
    assert counted.total == counted.peak + 500_000_000
    # Gradients of earlier batches stay.
    accumulated = estimate(SMALL, ROWS, step(mask_bytes=1, is_accumulated=True))
    assert accumulated.moments["loss"] - counted.moments["loss"] == 1456 * 4


def test_attention_weights_grow_with_the_square_only_where_they_are_tensors() -> None:
    layer, settings = SMALL.decoder[0], step(has_padding=False)
    short, long = (layer_bytes(layer, settings, num_rows=1, length=length) for length in (64, 128))
    assert long == 2 * short
    eager = replace(layer, is_eager=True)
    short, long = (layer_bytes(eager, settings, num_rows=1, length=length) for length in (64, 128))
    assert long - 2 * short == 2 * 4 * (128**2 - 2 * 64**2)


def test_logits_are_those_of_supervised_positions() -> None:
    shape = replace(SMALL, vocab_size=1000)
    assert logit_bytes(shape, ROWS, step(weight_bytes=2)) == (5 * 1000 * 10, 5 * 1000 * 12)
    assert logit_bytes(shape, ROWS, step()) == (5 * 1000 * 8, 5 * 1000 * 12)
