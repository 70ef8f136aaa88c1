"""The arithmetic of `plan` against real tensors: storages, optimizers' states, and what autograd really saves."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from benchmarks.traced_memory import LiveStorages
from kosum_pl.commands.plan.activations import layer_bytes
from kosum_pl.commands.plan.memory import (
    StepSettings,
    activation_bytes,
    estimate,
    logit_bytes,
    weight_copy_bytes,
)
from kosum_pl.commands.plan.settings import PlanSettings
from kosum_pl.commands.plan.shape import model_shape
from kosum_pl.commands.plan.shapes import BatchShape, LayerShape, ModelShape, Numerics
from kosum_pl.commands.plan.storage import linear_bytes, nf4_bytes, optimizer_bytes
from kosum_pl.models.adapters import AdapterSettings, add_adapter
from kosum_pl.models.quantization import Quantization, QuantizationName
from kosum_pl.models.source import ModelSource
from kosum_pl.modules.loss import supervised_logits
from kosum_pl.modules.optim import OptimizerSettings, build_optimizer

SIZES = {"llama": {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 2}}
SIZES["llama"] |= {"intermediate_size": 320, "vocab_size": 300}
SIZES["qwen3"] = {**SIZES["llama"], "head_dim": 16}
SIZES["bart"] = {"d_model": 128, "encoder_layers": 2, "decoder_layers": 2, "vocab_size": 300}
SIZES["bart"] |= {"encoder_attention_heads": 8, "decoder_attention_heads": 8}
SIZES["bart"] |= {"encoder_ffn_dim": 320, "decoder_ffn_dim": 320}
SIZES["t5"] = {"d_model": 128, "num_layers": 2, "num_heads": 8, "d_kv": 16, "d_ff": 320, "vocab_size": 300}
NUM_ROWS, LENGTH, SUMMARY_LENGTH, NUM_SUPERVISED = 4, 96, 24, 60


def make(
    kind: str, *, dtype: torch.dtype = torch.float32, attention: str = "sdpa", device: str = "cpu", **fields: Any
) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SIZES[kind], **fields})
    factory = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    with torch.device(device):
        model: PreTrainedModel = factory.from_config(config, dtype=dtype, attn_implementation=attention).train()
    return model


def batch_of(model: PreTrainedModel) -> BatchShape:
    is_seq2seq = model.config.is_encoder_decoder
    return BatchShape(
        num_rows=NUM_ROWS,
        source_length=LENGTH if is_seq2seq else 0,
        target_length=SUMMARY_LENGTH if is_seq2seq else LENGTH,
        num_supervised=NUM_SUPERVISED,
    )


def forward(model: PreTrainedModel, *, has_padding: bool = True) -> Tensor:
    batch = batch_of(model)
    inputs = {"input_ids": torch.randint(3, 300, (NUM_ROWS, LENGTH))}
    inputs["attention_mask"] = torch.ones(NUM_ROWS, LENGTH, dtype=torch.long)
    if has_padding:
        inputs["attention_mask"][0, -8:] = 0
    if batch.source_length:
        inputs["decoder_input_ids"] = torch.randint(3, 300, (NUM_ROWS, SUMMARY_LENGTH))
    targets = torch.full((NUM_ROWS * batch.target_length,), -100)
    targets[torch.randperm(len(targets))[:NUM_SUPERVISED]] = 5
    targets = targets.view(NUM_ROWS, batch.target_length)
    return supervised_logits(model, targets, num_supervised=NUM_SUPERVISED, **inputs)[0]


def saved_bytes(model: PreTrainedModel, *, is_autocast: bool = False, has_padding: bool = True) -> int:
    """Storages that autograd keeps of a forward pass, each once, the model's own not counted."""
    own = {weight.untyped_storage().data_ptr() for weight in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
            logits = forward(model, has_padding=has_padding)
        assert logits.requires_grad
        return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def numerics(*, weight_bytes: int = 4, compute_bytes: int | None = None, **changes: Any) -> Numerics:
    # A CPU's dropout masks are as wide as the tensor.
    fields = {"weight_bytes": weight_bytes, "compute_bytes": compute_bytes or weight_bytes, "mask_bytes": weight_bytes}
    return Numerics(**{**fields, "adapter_bytes": weight_bytes, **changes})


def storage_bytes(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().nbytes())


# Parameters.


@pytest.mark.parametrize("kind", SIZES)
def test_parameters_of_a_shape_are_those_of_the_real_model(kind: str) -> None:
    model = make(kind)
    shape = model_shape(make(kind, device="meta"))
    assert shape.base == tuple(weight.numel() for weight in model.parameters())
    assert shape.num_base == sum(weight.numel() for weight in model.parameters())
    in_layers = sum(layer.num_parameters for layer in (*shape.encoder, *shape.decoder))
    linear = sum(rows * columns for rows, columns in shape.linears)
    assert in_layers == linear
    assert shape.num_other == shape.num_base - linear
    assert len(shape.decoder) == (3 if kind in ("llama", "qwen3") else 2)


@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj")])
@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_parameters_of_an_adapter_are_those_of_the_real_one(kind: str, use_dora: bool, targets: Any) -> None:
    settings = AdapterSettings(rank=4, target_modules=targets, use_dora=use_dora)
    model = make(kind)
    add_adapter(model, settings)
    shape = model_shape(make(kind, device="meta"), adapter=settings)
    assert shape.adapter == tuple(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert shape.base == model_shape(make(kind)).base
    assert shape.decoder[0].attention_in.num_adapted == (3 if targets == "all-linear" else 2)
    assert shape.decoder[0].mlp_in.num_adapted == (0 if targets != "all-linear" else 2 if kind == "llama" else 1)


def test_widths_are_read_off_the_modules() -> None:
    layer = model_shape(make("qwen3", device="meta")).decoder[0]
    assert (layer.hidden, layer.query, layer.key_value, layer.intermediate) == (128, 128, 32, 320)
    assert (layer.num_heads, layer.num_norms, layer.has_head_norms, layer.is_gated) == (8, 2, True, True)
    cross = model_shape(make("bart", device="meta")).decoder[0]
    assert (cross.num_norms, cross.is_layer_norm, cross.is_gated, cross.num_dropouts) == (3, True, False, 3)
    assert (tuple(cross.cross_query), tuple(cross.cross_memory), tuple(cross.cross_out)) == ((1, 0), (2, 0), (1, 0))


# Storage.


@pytest.mark.parametrize("is_double", [True, False])
@pytest.mark.parametrize("name", ["nf4", "int8"])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_bytes_of_a_quantized_model_are_those_it_stores(kind: str, name: QuantizationName, is_double: bool) -> None:
    pytest.importorskip("bitsandbytes")
    model = make(kind, dtype=torch.bfloat16)
    shape = model_shape(model)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = Quantization(name=name, is_double=is_double).config(dtype=torch.bfloat16)
        quantized = type(model).from_pretrained(folder, dtype=torch.bfloat16, quantization_config=config)
    real = sum(_quantized_bytes(weight) for weight in quantized.parameters())
    settings = StepSettings(numerics=numerics(weight_bytes=2), quantization=name, is_double=is_double)
    assert estimate(shape, batch_of(model), settings).weights == pytest.approx(real, rel=1e-4)


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
    assert linear_bytes([(8, 16)], quantization="int8", is_double=True, weight_bytes=2) == 8 * 16 + 8 * 4
    assert linear_bytes([(8, 16)], quantization="none", is_double=True, weight_bytes=2) == 8 * 16 * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"])
@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")
def test_bytes_of_moments_are_those_of_the_real_optimizer(name: Any, dtype: torch.dtype) -> None:
    if name != "adamw":
        pytest.importorskip("bitsandbytes")
    shapes = [(128, 100), (64,), (300, 70), (63, 65)]
    weights = [nn.Parameter(torch.randn(shape).to(dtype)) for shape in shapes]
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
    ("quantization", "compute", "expected"),
    [("none", "auto", 4), ("nf4", "auto", 4), ("nf4", "float32", 4), ("int8", "auto", 4)],
)
def test_an_adapter_is_as_wide_as_planned(quantization: QuantizationName, compute: str, expected: int) -> None:
    pytest.importorskip("bitsandbytes")
    model = make("llama", dtype=torch.bfloat16)
    quantizer = Quantization(name=quantization, compute_dtype=compute)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = quantizer.config(dtype=torch.bfloat16)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, quantization_config=config)
    add_adapter(model, AdapterSettings(rank=4))
    assert {weight.dtype.itemsize for weight in model.parameters() if weight.requires_grad} == {expected}
    settings = PlanSettings(
        source=ModelSource(
            model_name="x", dtype="bfloat16", quantization=quantization, quantization_compute_dtype=compute
        ),
        is_causal=True,
        num_tokens=300,
        adapter=AdapterSettings(rank=4),
        gradient_checkpointing=False,
        optimizer="adamw",
        precision="bf16-mixed",
        accumulate_grad_batches=1,
        max_batch_tokens=None,
        batch_size=4,
        max_source_tokens=64,
        max_summary_tokens=32,
    )
    assert settings.step(torch.bfloat16).numerics.adapter_bytes == expected


# Activations.


@pytest.mark.parametrize("has_padding", [True, False])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "bart"])
def test_activations_are_what_autograd_saves(kind: str, attention: str, has_padding: bool) -> None:
    fields = {"dropout": 0.0} if kind == "bart" else {}
    model = make(kind, attention=attention, **fields)
    settings = StepSettings(numerics=numerics(has_padding=has_padding))
    counted = activation_bytes(model_shape(model), batch_of(model), settings)
    assert counted == pytest.approx(saved_bytes(model, has_padding=has_padding), rel=0.01)


def test_dropout_keeps_masks() -> None:
    model = make("bart", dropout=0.1)
    counted = activation_bytes(model_shape(model), batch_of(model), StepSettings(numerics=numerics()))
    assert counted == pytest.approx(saved_bytes(model), rel=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_16_bit_weights_and_autocast(kind: str, dtype: torch.dtype) -> None:
    model = make(kind, dtype=dtype)
    settings = StepSettings(numerics=numerics(weight_bytes=dtype.itemsize, compute_bytes=2, is_autocast=True))
    shape = model_shape(model)
    counted = activation_bytes(shape, batch_of(model), settings) + weight_copy_bytes(shape, settings)
    assert counted == pytest.approx(saved_bytes(model, is_autocast=True), rel=0.02)
    assert (weight_copy_bytes(shape, settings) > 0) == (dtype == torch.float32)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize(("dtype", "is_autocast"), [(torch.float32, False), (torch.bfloat16, True)])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_a_frozen_base_keeps_the_inputs_of_its_adapters(
    kind: str, dtype: torch.dtype, is_autocast: bool, dropout: float
) -> None:
    model, adapter = make(kind, dtype=dtype), AdapterSettings(rank=4, dropout=dropout)
    shape = model_shape(model, adapter=adapter)
    widths = numerics(
        weight_bytes=dtype.itemsize,
        is_autocast=is_autocast,
        is_base_trained=False,
        adapter_rank=4,
        adapter_bytes=4,
        mask_bytes=4,  # of an input that the fp32 adapter has widened
        has_adapter_dropout=dropout > 0,
    )
    counted = activation_bytes(shape, batch_of(model), StepSettings(numerics=widths))
    # The first layer's input is the frozen embedding's output, so a part of it is not saved: a third of three layers.
    assert counted == pytest.approx(saved_bytes(model, is_autocast=is_autocast), rel=0.07)


@pytest.mark.parametrize("is_autocast", [False, True])
def test_an_nf4_base_keeps_the_inputs_of_its_adapters(is_autocast: bool) -> None:
    pytest.importorskip("bitsandbytes")
    model, adapter = make("llama", dtype=torch.bfloat16), AdapterSettings(rank=4)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = Quantization(name="nf4").config(dtype=torch.bfloat16)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, quantization_config=config).train()
    add_adapter(model, adapter)
    widths = numerics(
        weight_bytes=2,
        is_autocast=is_autocast,
        is_base_trained=False,
        adapter_rank=4,
        adapter_bytes=4,
        mask_bytes=4,  # of an input that the fp32 adapter has widened
        has_adapter_dropout=True,
        is_four_bit=True,
    )
    shape = model_shape(make("llama", device="meta"), adapter=adapter)
    counted = activation_bytes(shape, batch_of(model), StepSettings(numerics=widths, quantization="nf4"))
    assert counted == pytest.approx(saved_bytes(model, is_autocast=is_autocast), rel=0.07)


@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_checkpointing_keeps_one_tensor_a_layer(kind: str) -> None:
    model = make(kind)
    model.activation_checkpointing_enable({"use_reentrant": False})
    shape, batch = model_shape(model), batch_of(model)
    settings = StepSettings(numerics=numerics(), is_checkpointed=True)
    assert activation_bytes(shape, batch, settings) == pytest.approx(saved_bytes(model), rel=0.15)
    whole = activation_bytes(shape, batch, replace(settings, is_checkpointed=False))
    assert activation_bytes(shape, batch, settings) < whole / 5


# The peak.


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
    storages = LiveStorages(
        [*model.parameters(), *(value for state in optimizer.state.values() for value in state.values())]
    )
    with storages:
        nn.functional.cross_entropy(forward(model), targets).backward()
        optimizer.step()
    widths = numerics(
        is_base_trained=adapter is None, adapter_rank=4 if adapter else 0, has_adapter_dropout=adapter is not None
    )
    counted = estimate(shape, batch_of(model), StepSettings(numerics=widths, is_checkpointed=is_checkpointed))
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
    counted = estimate(SMALL, ROWS, StepSettings(numerics=numerics(mask_bytes=1)))
    assert (counted.weights, counted.gradients, counted.optimizer) == (1456 * 4, 1456 * 4, 1456 * 8)
    assert counted.logits == 5 * 100 * 12
    static = 1456 * 12
    assert counted.moments["optimizer step"] == static + 1456 * 8
    assert counted.moments["loss"] == static + counted.activations + counted.logits
    assert counted.peak == max(counted.moments.values())
    assert counted.total == counted.peak + 500_000_000


def test_gradients_of_earlier_batches_stay() -> None:
    settings = StepSettings(numerics=numerics())
    alone = estimate(SMALL, ROWS, settings).moments["loss"]
    accumulated = estimate(SMALL, ROWS, replace(settings, is_accumulated=True)).moments["loss"]
    assert accumulated - alone == 1456 * 4


def test_attention_weights_grow_with_the_square_only_where_they_are_tensors() -> None:
    layer = SMALL.decoder[0]
    sdpa = numerics(has_padding=False)
    double = [layer_bytes(layer, sdpa, num_rows=1, length=length) for length in (64, 128)]
    assert double[1] == 2 * double[0]
    eager = replace(layer, is_eager=True)
    square = [layer_bytes(eager, sdpa, num_rows=1, length=length) for length in (64, 128)]
    assert square[1] - 2 * square[0] == 2 * 4 * (128**2 - 2 * 64**2)


def test_logits_are_those_of_supervised_positions() -> None:
    shape = replace(SMALL, vocab_size=1000)
    half = StepSettings(numerics=numerics(weight_bytes=2))
    assert logit_bytes(shape, ROWS, half) == (5 * 1000 * 10, 5 * 1000 * 12)
    assert logit_bytes(shape, ROWS, StepSettings(numerics=numerics())) == (5 * 1000 * 8, 5 * 1000 * 12)
