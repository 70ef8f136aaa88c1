"""The shape of a config's model, read off a model without weights.

In: `model.model_name` with its overrides, and the adapter. Out: a `ModelShape`. The model is built on the meta device,
where a tensor has a shape and no storage: eight billion parameters take two seconds and no memory, and every count is
that of the real modules.
"""

from __future__ import annotations

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
_CROSS_NAMES: Final = ("encoder_attn", "EncDecAttention", "crossattention", "cross_attn")


def read_shape(
    source: ModelSource, *, is_causal: bool, num_tokens: int, adapter: AdapterSettings | None
) -> tuple[ModelShape, torch.dtype]:
    """Shape of the model that `fit` would train, and the dtype of its weights.

    Args:
        source: Where the model comes from; its config alone is read.
        is_causal: Whether it is a causal model.
        num_tokens: Length of the tokenizer.
        adapter: Adapters beside the weights.

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
    """Shape of a model, and of the adapters that are put beside its weights.

    Args:
        model: Without adapters; they are added to it.
        adapter: Which adapters; None for none.

    Raises:
        ValueError: The adapter fits no module.
    """
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
    stacks = {name: tuple(_layer(part, model.config) for part in layers) for name, layers in _stacks(model)}
    embedding = model.get_input_embeddings()
    assert isinstance(head, nn.Linear)
    return ModelShape(
        hidden=head.in_features,
        vocab_size=head.out_features,
        encoder=_joined(stacks, is_encoder=True),
        decoder=_joined(stacks, is_encoder=False),
        linears=linears,
        num_other=sum(base) - sum(rows * columns for rows, columns in linears),
        base=base,
        adapter=trained,
        is_tied=head.weight is getattr(embedding, "weight", None),
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


def _joined(stacks: dict[str, tuple[LayerShape, ...]], *, is_encoder: bool) -> tuple[LayerShape, ...]:
    chosen = (layers for name, layers in stacks.items() if ("encoder" in name.split(".")) == is_encoder)
    return tuple(layer for layers in chosen for layer in layers)


def _layer(part: nn.Module, config: Any) -> LayerShape:
    """Widths of one layer, by the names of its modules."""
    groups: dict[str, list[tuple[nn.Linear, bool]]] = {}
    for name, linear, is_adapted in _linears(part):
        groups.setdefault(_group(name), []).append((linear, is_adapted))
    reads: dict[str, Any] = {
        group: Reads(len(members), sum(is_adapted for _, is_adapted in members)) for group, members in groups.items()
    }
    sizes = [linear.weight.numel() for members in groups.values() for linear, _ in members]
    query = groups["attention_out"][0][0].in_features
    outputs = [linear.out_features for linear, _ in groups["attention_in"]]
    down = groups["mlp_out"][0][0]
    norms = {name: norm for name, norm in part.named_modules() if "norm" in type(norm).__name__.lower()}
    is_head_norm = {name: _is_attention(name.rpartition(".")[0]) and _ends_in_head_norm(name) for name in norms}
    return LayerShape(
        hidden=groups["attention_in"][0][0].in_features,
        query=query,
        # A fused projection has keys and values behind the queries.
        key_value=outputs[1] if len(outputs) > 1 else (outputs[0] - query) // 2,
        intermediate=down.in_features,
        num_heads=int(getattr(config, "num_attention_heads", 0) or getattr(config, "num_heads", 1)),
        num_parameters=sum(sizes),
        largest_linear=max(sizes),
        is_gated=sum(linear.out_features for linear, _ in groups["mlp_in"]) == 2 * down.in_features,
        is_relu=_activation(config) == "relu",
        is_layer_norm=any(isinstance(norm, nn.LayerNorm) for norm in norms.values()),
        num_norms=sum(not is_head for is_head in is_head_norm.values()),
        has_head_norms=any(is_head_norm.values()),
        has_position_bias=bool(getattr(config, "relative_attention_num_buckets", 0)),
        is_eager=getattr(config, "_attn_implementation", None) == "eager",
        **_dropouts(config, num_sublayers=3 if "cross_out" in groups else 2),
        **{group: counts for group, counts in reads.items() if group != "other"},
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
        return "attention_in" if leaf not in ("relative_attention_bias",) else "other"
    return "cross_query" if leaf in ("q", "q_proj") else "cross_memory"


def _is_attention(path: str) -> bool:
    return "attn" in path or "attention" in path.lower()


def _ends_in_head_norm(name: str) -> bool:
    return name.rpartition(".")[2] in ("q_norm", "k_norm", "q_layernorm", "k_layernorm")


def _activation(config: Any) -> str:
    for field in ("hidden_act", "activation_function", "dense_act_fn", "hidden_activation"):
        if value := getattr(config, field, None):
            return str(value)
    return ""


def _dropouts(config: Any, *, num_sublayers: int) -> dict[str, Any]:
    rate = getattr(config, "dropout_rate", None)
    if rate is not None:  # T5: one rate for everything
        return {
            "num_dropouts": num_sublayers * bool(rate),
            "has_activation_dropout": bool(rate),
            "has_attention_dropout": bool(rate),
        }
    return {
        "num_dropouts": num_sublayers * bool(getattr(config, "dropout", 0) or 0),
        "has_activation_dropout": bool(getattr(config, "activation_dropout", 0) or 0),
        "has_attention_dropout": bool(getattr(config, "attention_dropout", 0) or 0),
    }
