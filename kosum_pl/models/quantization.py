"""Weights of a frozen base in four or eight bits.

In: `model.quantization` and a folder of weights, or a config for random ones. Out: the model with its linear layers
quantized by bitsandbytes, embeddings and output head as they were. A quantized weight cannot be trained: an adapter
beside it can.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import torch
from torch import nn

QuantizationName = Literal["none", "nf4", "int8"]
_COMPUTE_DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, kw_only=True)
class Quantization:
    """How a base is quantized.

    Attributes:
        name: `nf4` (4 bit), `int8`, or `none`.
        is_double: Of `nf4`: quantize the scales too, 0.4 bit a weight.
        compute_dtype: Of `nf4`: in which a layer multiplies; `auto` is the model's own.
    """

    name: QuantizationName = "none"
    is_double: bool = True
    compute_dtype: str = "auto"

    def __post_init__(self) -> None:
        if self.name not in ("none", "nf4", "int8"):
            raise ValueError(f"model.quantization is '{self.name}'; known: none, nf4, int8")
        if self.compute_dtype not in ("auto", *_COMPUTE_DTYPES):
            known = ", ".join(("auto", *_COMPUTE_DTYPES))
            raise ValueError(f"model.quantization_compute_dtype is '{self.compute_dtype}'; known: {known}")

    def config(self, *, dtype: torch.dtype) -> Any:
        """What `from_pretrained` takes as `quantization_config`; None for `none`.

        `dtype` is of the weights that stay as they are.

        Raises:
            ValueError: bitsandbytes cannot be loaded.
        """
        if self.name == "none":
            return None
        try:
            import bitsandbytes  # noqa: F401
        except ImportError as error:
            raise ValueError(
                f"model.quantization={self.name} needs bitsandbytes, which cannot be loaded ({error}): "
                "pip install bitsandbytes"
            ) from None
        from transformers import BitsAndBytesConfig

        if self.name == "int8":
            return BitsAndBytesConfig(load_in_8bit=True)
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=self.is_double,
            bnb_4bit_compute_dtype=_COMPUTE_DTYPES.get(self.compute_dtype, dtype),
        )


def keep_int8_scales(model: nn.Module) -> None:
    """Let int8 layers be read between two forward passes on a CPU, as DoRA does for the lengths of their rows.

    PEFT wraps the weight anew then, and bitsandbytes would take that for a weight that has just been loaded: it drops
    the scales that it has put away, and the next forward pass has none. Hooks on the layers give them back.
    """
    for layer in model.modules():
        if type(layer).__name__ == "Linear8bitLt" and type(layer).__module__.startswith("bitsandbytes."):
            layer.register_forward_pre_hook(_give_scales)


def _give_scales(layer: nn.Module, _: Any) -> None:
    weight, state = cast("Any", layer.weight), cast("Any", layer.state)
    if weight.CB is not None and weight.SCB is None:
        weight.SCB = state.SCB


def keep_differentiable(model: nn.Module) -> None:
    """Forbid 4-bit layers on a CPU the layout that they would take on at their first evaluation.

    bitsandbytes rearranges their weights for the AVX-512 instructions of bf16 and never undoes it. The kernel for that
    layout has no gradient: every training step after the first validation would leave out what flows through the base,
    and say no more than a warning. It also rounds the scales to bf16, and takes no layer of another width than a
    multiple of 32.
    """
    layers: Iterable[Any] = model.modules()
    for layer in layers:
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False
