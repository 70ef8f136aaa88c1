"""LoRA on a frozen model, and what its checkpoints hold.

In: a model and `model.adapter`. Out: the same model with trainable matrices beside its frozen ones. A checkpoint holds
what is trained and the fingerprint of what it was trained on: the base is 50 times as large and is downloaded once.
"""

from __future__ import annotations

import hashlib
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel

from kosum_pl.errors import one_line
from kosum_pl.models.quantization import keep_int8_scales

PEFT_PREFIX: Final = "base_model.model."
"""Of the names of an adapter's weights in a folder, where every reader of adapters expects it."""
_ALL_LINEAR: Final = "all-linear"
# Fields of a config that say how it was loaded, not what it is.
_NOT_IDENTITY: Final = frozenset(
    {"_name_or_path", "dtype", "torch_dtype", "transformers_version", "architectures", "quantization_config"}
)


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """Low-rank adapters (LoRA) beside frozen weights.

    Attributes:
        rank: Columns of the low-rank matrices.
        alpha: The product is scaled by `alpha / rank`, or by `alpha / sqrt(rank)` with rsLoRA.
        dropout: Of the adapter's input.
        target_modules: `all-linear` (all but the output head), or ends of module names such as `q_proj`.
        use_rslora: Scale by the root of the rank, so that high ranks learn as fast as low ones.
        use_dora: Also learn the length of every weight row (DoRA): closer to full fine-tuning, and slower.

    Raises:
        ValueError: A number is out of its range.

    Source:
        Hu et al. 2021 (LoRA), Kalajdzievski 2023 (rsLoRA), Liu et al. 2024 (DoRA).
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.05
    target_modules: str | Sequence[str] = _ALL_LINEAR
    use_rslora: bool = False
    use_dora: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"model.adapter.rank is {self.rank}; give at least 1")
        if not self.alpha > 0:
            raise ValueError(f"model.adapter.alpha is {self.alpha}; give a number above 0, often twice the rank")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"model.adapter.dropout is {self.dropout}; give a share from 0 to below 1")
        if not self.target_modules:
            raise ValueError("model.adapter.target_modules is empty; write all-linear, or names such as q_proj")


def check_combination(adapter: AdapterSettings | None, quantization: str) -> None:
    """Refuse a quantized base that nothing beside it could train."""
    if adapter is None and quantization != "none":
        raise ValueError(
            f"model.quantization={quantization} without model.adapter: quantized weights cannot be trained; "
            "set model.adapter.rank=16, or model.quantization=none"
        )


def add_adapter(model: PreTrainedModel, settings: AdapterSettings) -> str:
    """Freeze a model, put adapters beside its weights, and return a line that says how much is trained.

    Raises:
        ValueError: A target names no module, or one that cannot be adapted, or peft cannot be loaded.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError(f"model.adapter needs peft, which cannot be loaded ({error}): pip install peft") from None

    is_seq2seq = model.config.is_encoder_decoder
    config = LoraConfig(
        task_type="SEQ_2_SEQ_LM" if is_seq2seq else "CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=_find_targets(model, settings.target_modules),
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
    )
    try:
        model.add_adapter(config)
    except ValueError as error:
        reason = textwrap.shorten(one_line(str(error)), 120, placeholder=" …")
        raise ValueError(
            f"model.adapter.target_modules is {settings.target_modules!r}: {reason}; {_remedy(model)}"
        ) from error
    if settings.use_dora:
        keep_int8_scales(model)
    for weight in model.parameters():
        # PEFT gives them the base's dtype; a small update of a 16-bit weight rounds to nothing.
        if weight.requires_grad and weight.dtype in (torch.float16, torch.bfloat16):
            weight.data = weight.data.float()
    trained = sum(weight.numel() for weight in _trained_weights(model).values())
    total = sum(_num_elements(weight) for weight in model.parameters())
    return f"adapter: {trained:,} of {total:,} parameters are trained ({trained / total:.2%})"


def _find_targets(model: PreTrainedModel, targets: str | Sequence[str]) -> str | list[str]:
    """The targets as PEFT takes them, each of which names a module: PEFT passes over those that name none."""
    names = [targets] if isinstance(targets, str) else list(targets)
    if names == [_ALL_LINEAR]:
        return _ALL_LINEAR
    known = [f".{name}" for name, _ in model.named_modules()]
    lacking = [name for name in names if not any(module.endswith(f".{name}") for module in known)]
    if lacking:
        words = "stands alone, without other names" if lacking == [_ALL_LINEAR] else "is no module of the model"
        raise ValueError(f"model.adapter.target_modules: '{lacking[0]}' {words}; {_remedy(model)}")
    return names


def _remedy(model: PreTrainedModel) -> str:
    known = sorted({name.rsplit(".", 1)[-1] for name, part in model.named_modules() if isinstance(part, nn.Linear)})
    return f"write all-linear, or some of: {', '.join(known)}"


def _num_elements(weight: nn.Parameter) -> int:
    """Elements of a weight before quantization: four bits are stored two to a byte."""
    return weight.numel() * 2 if type(weight).__name__ == "Params4bit" else weight.numel()


def _trained_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in module.named_parameters() if weight.requires_grad}


def trained_state(module: nn.Module, state: Mapping[str, Any]) -> dict[str, Any]:
    """What of a module's state dict is trained; the frozen rest comes from the base."""
    trained = _trained_weights(module)
    return {name: value for name, value in state.items() if name in trained}


def check_trained_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` where a checkpoint does not hold exactly what this module trains."""
    expected = _trained_weights(module)
    remedy = "use the model.adapter and model.new_tokens that the checkpoint was trained with"
    if differing := sorted(expected.keys() ^ state.keys()):
        name = differing[0]
        is_lacking = name in expected
        fault = (
            f"lacks '{name}', which this config trains"
            if is_lacking
            else f"holds '{name}', which this one does not train"
        )
        raise ValueError(f"the checkpoint {fault}; {remedy}")
    for name, weight in expected.items():
        if state[name].shape != weight.shape:
            shapes = f"{tuple(state[name].shape)} instead of {tuple(weight.shape)}"
            raise ValueError(f"the checkpoint's '{name}' has the shape {shapes}; {remedy}")


def check_base(record: Mapping[str, Any], *, model_name: str, fingerprint: str) -> None:
    """Refuse an adapter that, by its checkpoint's record, was trained on another base than the loaded one.

    Raises:
        ValueError: The bases differ, or the checkpoint names none.
    """
    trained_on = record.get("base")
    if trained_on != fingerprint:
        name = record.get("model_name", "an unknown model")
        raise ValueError(
            f"the checkpoint's adapter belongs to '{name}' (base {trained_on}), and '{model_name}' is another base "
            f"({fingerprint}): shape or tokenizer differ; set model.model_name to the base it was trained on"
        )


def base_fingerprint(config: PretrainedConfig, *, vocabulary: str) -> str:
    """Hash (hex) of a base: the shape its config gives it, and the fingerprint of its tokenizer."""
    values = {name: value for name, value in config.to_dict().items() if name not in _NOT_IDENTITY}
    content = json.dumps([values, vocabulary], sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:24]
