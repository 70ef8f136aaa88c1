from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.commands.plan.meta_model import model_shape
from kosum_pl.models.adapters import AdapterSettings, add_adapter
from tests.commands.plan.real_models import SIZES, make


@pytest.mark.parametrize("kind", SIZES)
def test_parameters_of_a_shape_are_those_of_the_real_model(kind: str) -> None:
    shape = model_shape(make(kind, device="meta"))
    assert shape.base == tuple(weight.numel() for weight in make(kind).parameters())
    linear = sum(rows * columns for rows, columns in shape.linears)
    assert sum(layer.num_parameters for layer in (*shape.encoder, *shape.decoder)) == linear
    assert shape.num_other == shape.num_base - linear
    assert len(shape.decoder) == (3 if kind in ("llama", "qwen3") else 2)


@pytest.mark.parametrize("targets", ["all-linear", ("q_proj", "v_proj")])
@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_parameters_of_an_adapter_are_those_of_the_real_one(kind: str, use_dora: bool, targets: Any) -> None:
    settings = AdapterSettings(rank=4, target_modules=targets, use_dora=use_dora)
    model = make(kind)
    base = model_shape(model).base
    add_adapter(model, settings)
    shape = model_shape(make(kind, device="meta"), adapter=settings)
    assert shape.adapter == tuple(weight.numel() for weight in model.parameters() if weight.requires_grad)
    assert shape.base == base
    assert shape.decoder[0].attention_in.num_adapted == (3 if targets == "all-linear" else 2)
    assert shape.decoder[0].mlp_in.num_adapted == (0 if targets != "all-linear" else 2 if kind == "llama" else 1)


def test_widths_are_read_off_the_modules() -> None:
    layer = model_shape(make("qwen3", device="meta")).decoder[0]
    assert (layer.hidden, layer.query, layer.key_value, layer.intermediate) == (128, 128, 32, 320)
    assert (layer.num_heads, layer.num_norms, layer.has_head_norms, layer.is_gated) == (8, 2, True, True)
    cross = model_shape(make("bart", device="meta")).decoder[0]
    assert (cross.num_norms, cross.is_layer_norm, cross.is_gated, cross.num_dropouts) == (3, True, False, 3)
    assert (tuple(cross.cross_query), tuple(cross.cross_memory), tuple(cross.cross_out)) == ((1, 0), (2, 0), (1, 0))
