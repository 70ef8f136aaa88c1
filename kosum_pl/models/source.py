"""A transformers model from a folder, a hub id, a GGUF file, or from a config alone.

In: a model name and how to load it. Out: the model, quantized where it was asked for. A GGUF file is unpacked as it
is read: packed weights can be neither trained nor saved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GgufConfig,
    PretrainedConfig,
    PreTrainedModel,
)

from kosum_pl.lookup import resolve_path
from kosum_pl.models.quantization import Quantization, QuantizationName, keep_differentiable
from kosum_pl.models.sizes import check_sizes

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}
# Per-layer lists that a config computes from its number of layers; stale once that number is overridden.
_PER_LAYER_FIELDS = ("layer_types", "no_rope_layers", "mlp_layer_types")


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """Where a model comes from and how it is loaded: `SummarizationModule` describes its arguments of these names."""

    model_name: str
    random_init: bool = False
    config_overrides: Mapping[str, Any] | None = None
    gguf_file: str | None = None
    dtype: str = "float32"
    attn_implementation: str | None = None
    trust_remote_code: bool = False
    quantization: QuantizationName = "none"
    double_quantization: bool = True
    quantization_compute_dtype: str = "auto"

    def __post_init__(self) -> None:
        _ = self.quantizer
        if self.dtype != "auto" and self.dtype not in _DTYPES:
            raise ValueError(f"model.dtype is '{self.dtype}'; known: auto, {', '.join(_DTYPES)}")
        if self.dtype == "float64" and self.quantization != "none":
            raise ValueError(
                f"model.dtype=float64 with model.quantization={self.quantization}: 16 and 32 bits can be quantized; "
                "set model.dtype=bfloat16, or model.quantization=none"
            )

    @property
    def quantizer(self) -> Quantization:
        """How the base is quantized."""
        compute_dtype = self.quantization_compute_dtype
        return Quantization(name=self.quantization, is_double=self.double_quantization, compute_dtype=compute_dtype)

    @property
    def torch_dtype(self) -> torch.dtype | str:
        """The dtype as transformers takes it."""
        return _DTYPES.get(self.dtype, "auto")


def load_config(source: ModelSource, *, num_tokens: int) -> PretrainedConfig:
    """The model's config with the overrides merged in; a randomly initialised model has a row for every token.

    Raises:
        ValueError: The config cannot be found, or an override names a field that it does not have.
    """
    overrides = dict(source.config_overrides or {})
    stored = _stored_config(source, is_optional="model_type" in overrides)
    model_type = str(overrides.pop("model_type", stored.pop("model_type", "")))
    if stored.get("model_type", model_type) != model_type:
        stored = {}
    if "num_hidden_layers" in overrides:
        stored = {name: value for name, value in stored.items() if name not in _PER_LAYER_FIELDS}
    _check_overrides(overrides, model_type=model_type)
    check_sizes({**stored, **overrides}, overrides=overrides, source=f"'{source.model_name}'")
    if source.random_init:
        overrides["vocab_size"] = max(num_tokens, int(overrides.get("vocab_size", stored.get("vocab_size", 0))))
    return _config_of(model_type, {**stored, **overrides}, overrides=overrides)


def _config_of(
    model_type: str, fields: Mapping[str, Any], *, overrides: Mapping[str, Any] | None = None
) -> PretrainedConfig:
    try:
        config: PretrainedConfig = AutoConfig.for_model(model_type, **fields)
    except Exception as error:  # each model's config has checks, and errors, of its own
        reason = next(reversed([line.strip() for line in str(error).splitlines() if line.strip()]), "no reason given")
        named = [name for name in overrides or {} if name in reason or name.replace("_", " ") in reason]
        key = ".".join(["model.config_overrides", *named[:1]])
        raise ValueError(f"{key}: a {model_type} config refuses this: {reason[:200]}") from error
    return config


def num_positions(config: PretrainedConfig) -> int | None:
    """Positions that a model has for a sequence: learned ones, or those it was trained with; None without such a limit.

    Relative positions, as T5's, have no end, whatever the config says beside them.
    """
    text = config.get_text_config()
    if hasattr(text, "relative_attention_num_buckets"):
        return None
    names = ("max_position_embeddings", "n_positions", "max_encoder_position_embeddings")
    found = (getattr(text, name, None) for name in names)
    return next((value for value in found if isinstance(value, int)), None)


def _stored_config(source: ModelSource, *, is_optional: bool) -> dict[str, Any]:
    """The config as its file says it, or nothing where an override brings the model type."""
    arguments = {"gguf_file": source.gguf_file} if source.gguf_file else {}
    try:
        config = AutoConfig.from_pretrained(
            resolve_path(source.model_name), trust_remote_code=source.trust_remote_code, **arguments
        )
    except (OSError, ValueError) as error:
        if is_optional:
            return {}
        if (Path(resolve_path(source.model_name)) / "adapter_config.json").is_file():
            raise ValueError(
                f"model.model_name '{source.model_name}' holds an adapter alone; give its base, and the adapter to "
                "fit --init_from, or export it with --merge"
            ) from error
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"model.model_name '{source.model_name}': no usable config ({reason}); "
            "give a local folder with config.json, a hub id, or model_type in model.config_overrides"
        ) from error
    stored: dict[str, Any] = config.to_dict()
    return {name: value for name, value in stored.items() if name not in ("architectures", "transformers_version")}


def _check_overrides(overrides: Mapping[str, Any], *, model_type: str) -> None:
    known = _config_of(model_type, {})
    unknown = sorted(name for name in overrides if not hasattr(known, name))
    if unknown:
        fields = ", ".join(sorted(name for name in known.to_dict() if not name.startswith("_")))
        raise ValueError(
            f"model.config_overrides: a {model_type} config has no field {', '.join(unknown)}; it has: {fields}"
        )


def load_model(source: ModelSource, *, config: PretrainedConfig, is_causal: bool) -> PreTrainedModel:
    """The model itself, in training mode, on the CPU or on the device that is current; `config` is of `load_config`.

    Raises:
        ValueError: The weights cannot be found, or the folder holds another kind of model.
    """
    factory = AutoModelForCausalLM if is_causal else AutoModelForSeq2SeqLM
    try:
        if source.random_init:
            dtype = torch.get_default_dtype() if source.dtype == "auto" else source.torch_dtype
            model = factory.from_config(config, dtype=dtype, **_loading_options(source))
            model = _quantized(source, model, factory=factory)
        else:
            model = _stored_model(source, resolve_path(source.model_name), config=config, factory=factory)
    except (OSError, ValueError, SafetensorError, _Misfit) as error:
        reason = str(error).strip().splitlines()[0]
        if reason.startswith("Unrecognized configuration class"):
            kind, other = ("causal", "Seq2SeqModule") if is_causal else ("encoder-decoder", "CausalModule")
            raise ValueError(
                f"model.model_name '{source.model_name}' is of type {config.model_type}, which has no {kind} model; "
                f"give another, or model.class_path {other}"
            ) from error
        remedy = "check the folder or hub id, or set model.random_init=true for random weights"
        raise ValueError(f"model.model_name '{source.model_name}': no weights loaded ({reason}); {remedy}") from error
    keep_differentiable(model)
    loaded: PreTrainedModel = model.train()
    return loaded


def _stored_model(source: ModelSource, path: str, *, config: PretrainedConfig, factory: Any) -> Any:
    options = {"config": config, "dtype": source.torch_dtype, **_loading_options(source)}
    if source.gguf_file:
        options |= {"gguf_file": source.gguf_file, "quantization_config": GgufConfig(dequantize=True)}
        return _quantized(source, _from_pretrained(factory, path, **options), factory=factory)
    if source.quantization != "none":
        dtype = source.torch_dtype
        compute = dtype if isinstance(dtype, torch.dtype) else getattr(config, "dtype", None) or torch.bfloat16
        options["quantization_config"] = source.quantizer.config(dtype=compute)
    return _from_pretrained(factory, path, **options)


class _Misfit(Exception):
    """A folder's weights are not those of its config; transformers would fill the gaps with random numbers."""


def _from_pretrained(factory: Any, path: str, **options: Any) -> Any:
    """A model with all of its weights, none of them made up."""
    model, report = factory.from_pretrained(path, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    for name, stored, expected in sorted(report["mismatched_keys"]):
        raise _Misfit(f"'{name}' has the shape {tuple(stored)} instead of {tuple(expected)}")
    weights = {name for name, _ in model.named_parameters()}
    for name in sorted(weights & set(report["missing_keys"])):
        raise _Misfit(f"'{name}' is not among them, as the config would have it")
    return model


def _quantized(source: ModelSource, model: Any, *, factory: Any) -> Any:
    """The model with quantized weights: they are quantized as they are read, and only then, so it is saved first."""
    if source.quantization == "none":
        return model
    with tempfile.TemporaryDirectory() as folder:
        # Of several ranks transformers lets the first alone write; here each has a folder of its own.
        with patch.object(model, "should_save_on_this_rank", return_value=True):
            model.save_pretrained(folder)
        source = replace(source, gguf_file=None)
        return _stored_model(source, folder, config=model.config, factory=factory)


def _loading_options(source: ModelSource) -> dict[str, Any]:
    attention = {"attn_implementation": source.attn_implementation} if source.attn_implementation else {}
    return {"trust_remote_code": source.trust_remote_code, **attention}
