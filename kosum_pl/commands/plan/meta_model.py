"""The shape of a config's model, read off a model without weights.

In: `model.model_name` with its overrides, and the adapter. Out: a `ModelShape`. The model is built on the meta device,
where a tensor has a shape and no storage: eight billion parameters take two seconds and no memory, and every count is
that of the real modules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel

from kosum_pl.commands.plan.shapes import LayerShape, ModelShape, Reads
from kosum_pl.models.adapters import AdapterSettings, add_adapter
from kosum_pl.models.source import ModelSource, load_config

_OUT_NAMES: Final = ("o_proj", "out_proj", "o", "dense", "c_proj")
_DOWN_NAMES: Final = ("down_proj", "fc2", "wo", "fc_out", "dense_4h_to_h")
_ACTIVATION_FIELDS: Final = ("hidden_act", "activation_function", "dense_act_fn", "hidden_activation")
_CROSS_NAMES: Final = ("encoder_attn", "EncDecAttention", "crossattention", "cross_attn")


def read_shape(
    source: ModelSource, *, is_causal: bool, num_tokens: int, adapter: AdapterSettings | None
) -> tuple[ModelShape, torch.dtype]:
    """Shape of the model that `fit` would train, and the dtype of its weights; of the source its config alone is read.

    Raises:
        ValueError: There is no such config, or the adapter fits no module of the model.
    """
    config = load_config(source, num_tokens=num_tokens)
    stored = torch.float32 if source.random_init else config.dtype or torch.float32
    dtype = source.torch_dtype if isinstance(source.torch_dtype, torch.dtype) else stored
    options = {"attn_implementation": source.attn_implementation} if source.attn_implementation else {}
    factory: Any = AutoModelForCausalLM if is_causal else AutoModelForSeq2SeqLM
    try:
        with torch.device("meta"):
            model = factory.from_config(config, dtype=dtype, trust_remote_code=source.trust_remote_code, **options)
    except ValueError as error:
        kind = "CausalModule" if is_causal else "Seq2SeqModule"
        raise ValueError(
            f"model.model_name '{source.model_name}': no {kind} of type '{config.model_type}' can be built "
            f"({str(error).strip().splitlines()[0]}); set model.class_path to the module of its kind"
        ) from error
    return model_shape(model, adapter=adapter), dtype


def model_shape(model: PreTrainedModel, *, adapter: AdapterSettings | None = None) -> ModelShape:
    """Shape of a model, and of the adapters, which are added to it."""
    base = tuple(weight.numel() for weight in model.parameters())
    head = model.get_output_embeddings()
    linears = tuple(
        (part.out_features, part.in_features)
        for _, part in model.named_modules()
        if isinstance(part, nn.Linear) and part is not head
    )
    trained: tuple[int, ...] = ()
    if adapter is not None:
        with model.device:
            add_adapter(model, adapter)
        trained = tuple(weight.numel() for weight in model.parameters() if weight.requires_grad)
    encoder: list[LayerShape] = []
    decoder: list[LayerShape] = []
    for name, layers in _stacks(model):
        stack = encoder if "encoder" in name.split(".") else decoder
        stack += [_layer(part, model.config) for part in layers]
    assert isinstance(head, nn.Linear)
    return ModelShape(
        hidden=head.in_features,
        vocab_size=head.out_features,
        encoder=tuple(encoder),
        decoder=tuple(decoder),
        linears=linears,
        num_other=sum(base) - sum(rows * columns for rows, columns in linears),
        base=base,
        adapter=trained,
        is_tied=head.weight is getattr(model.get_input_embeddings(), "weight", None),
    )


def _stacks(model: PreTrainedModel) -> Iterator[tuple[str, nn.ModuleList]]:
    """Lists of layers, outermost only."""
    found: list[str] = []
    for name, part in model.named_modules():
        if not isinstance(part, nn.ModuleList) or any(name.startswith(f"{outer}.") for outer in found):
            continue
        if any(isinstance(inner, nn.Linear) for inner in part.modules()):
            found.append(name)
            yield name, part


def _layer(part: nn.Module, config: Any) -> LayerShape:
    """Widths of one layer, by the names of its modules."""
    groups: dict[str, list[nn.Linear]] = {}
    num_adapted: Counter[str] = Counter()
    for name, linear, is_adapted in _linears(part):
        group = _group(name)
        groups.setdefault(group, []).append(linear)
        num_adapted[group] += is_adapted
    reads: dict[str, Any] = {group: Reads(len(linears), num_adapted[group]) for group, linears in groups.items()}
    sizes = [linear.weight.numel() for linears in groups.values() for linear in linears]
    query = groups["attention_out"][0].in_features
    outputs = [linear.out_features for linear in groups["attention_in"]]
    down = groups["mlp_out"][0]
    norms = {name: norm for name, norm in part.named_modules() if "norm" in type(norm).__name__.lower()}
    num_head_norms = sum(_is_head_norm(name) for name in norms)
    return LayerShape(
        hidden=groups["attention_in"][0].in_features,
        query=query,
        # A fused projection has keys and values behind the queries.
        key_value=outputs[1] if len(outputs) > 1 else (outputs[0] - query) // 2,
        intermediate=down.in_features,
        num_heads=int(_first(config, "num_attention_heads", "num_heads") or 1),
        num_parameters=sum(sizes),
        largest_linear=max(sizes),
        is_gated=sum(linear.out_features for linear in groups["mlp_in"]) == 2 * down.in_features,
        is_relu=_first(config, *_ACTIVATION_FIELDS) == "relu",
        is_layer_norm=any(isinstance(norm, nn.LayerNorm) for norm in norms.values()),
        num_norms=len(norms) - num_head_norms,
        has_head_norms=num_head_norms > 0,
        has_position_bias=bool(getattr(config, "relative_attention_num_buckets", 0)),
        is_eager=getattr(config, "_attn_implementation", None) == "eager",
        **_dropouts(config, num_sublayers=3 if "cross_out" in groups else 2),
        **reads,
    )


def _linears(part: nn.Module) -> Iterator[tuple[str, nn.Linear, bool]]:
    """Name of each linear layer of the base, the layer, and whether it has an adapter."""
    for name, linear in part.named_modules():
        if not isinstance(linear, nn.Linear) or "lora_" in name:
            continue
        is_adapted = name.endswith(".base_layer")
        # PEFT's own layer is a Linear in some versions; the base layer inside counts.
        if not any(other.startswith("base_layer") for other, _ in linear.named_children()):
            yield name.removesuffix(".base_layer"), linear, is_adapted


def _group(name: str) -> str:
    """Which input a linear layer reads."""
    *parents, leaf = name.split(".")
    if not _is_attention(".".join(parents)):
        return "mlp_out" if leaf in _DOWN_NAMES else "mlp_in"
    is_cross = any(parent in _CROSS_NAMES for parent in parents)
    if leaf in _OUT_NAMES:
        return "cross_out" if is_cross else "attention_out"
    if not is_cross:
        return "attention_in"
    return "cross_query" if leaf in ("q", "q_proj") else "cross_memory"


def _is_attention(path: str) -> bool:
    return "attn" in path or "attention" in path.lower()


def _is_head_norm(name: str) -> bool:
    parent, _, leaf = name.rpartition(".")
    return _is_attention(parent) and leaf in ("q_norm", "k_norm", "q_layernorm", "k_layernorm")


def _first(config: Any, *fields: str) -> Any:
    """The first of some fields that is set; None for none."""
    return next((value for field in fields if (value := getattr(config, field, None))), None)


def _dropouts(config: Any, *, num_sublayers: int) -> dict[str, Any]:
    # T5 has one rate for everything.
    names = ("dropout", "activation_dropout", "attention_dropout")
    has_any, has_activation, has_attention = (bool(_first(config, "dropout_rate", name)) for name in names)
    return {
        "num_dropouts": num_sublayers * has_any,
        "has_activation_dropout": has_activation,
        "has_attention_dropout": has_attention,
    }
