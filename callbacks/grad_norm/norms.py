"""Gradient norms of an optimizer step: the whole, per group of parameters and per layer.

In: named parameters whose gradients are complete. Out: L2 norms in fp32 or better. A step is measured on its device
and waits for nothing; many steps are read at once and grouped on the host in fp64, so that training is not slowed down
by being watched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Norms = NDArray[np.float64]
# In the order in which they are shown; a model has some of them.
GROUPS: Final = (
    "adapter_a", "adapter_b", "adapter_other", "embeddings", "encoder", "decoder", "layers", "head", "other"
)  # fmt: skip
_LAYER: Final = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.(\d+)\.")
_SIDE: Final = re.compile(r"(?:^|\.)(encoder|decoder)\.")
_ADAPTER: Final = re.compile(r"\.lora_(?:(?:embedding_)?([AB])|\w+)(?:\.|$)")
_EMBEDDINGS: Final = re.compile(
    r"(?:^|\.)(?:shared|embed_\w+|wte|wpe|word_embeddings|position_embeddings)(?:\.|$)", re.IGNORECASE
)
_HEAD: Final = re.compile(r"(?:^|\.)(?:lm_head|output_projection|embed_out)(?:\.|$)")


def group_of(name: str) -> str:
    """Which group of `GROUPS` a parameter belongs to; layers are one group, or one a side of an encoder-decoder.

    An output head that shares its weights with the embeddings is one parameter and counts as `embeddings`.

    Example:
        >>> [group_of(name) for name in ("model.lm_head.weight", "model.model.encoder.layers.0.fc1.weight")]
        ['head', 'encoder']
        >>> group_of("model.model.layers.0.self_attn.q_proj.lora_A.default.weight")
        'adapter_a'
    """
    if adapter := _ADAPTER.search(name):
        return f"adapter_{adapter[1].lower()}" if adapter[1] else "adapter_other"
    if _HEAD.search(name):
        return "head"
    side, is_layer = _SIDE.search(name), _LAYER.search(name) is not None
    if not is_layer and _EMBEDDINGS.search(name):
        return "embeddings"
    if side:
        return side[1]
    return "layers" if is_layer else "other"


def layer_of(name: str) -> str | None:
    """Which layer a parameter lies in, adapters too; None outside of layers.

    Example:
        >>> layer_of("model.model.decoder.layers.11.fc1.weight"), layer_of("model.transformer.h.3.ln_1.weight")
        ('decoder.11', 'layers.03')
    """
    number, side = _LAYER.search(name), _SIDE.search(name)
    return f"{side[1] if side else 'layers'}.{int(number[1]):02d}" if number else None


@dataclass(frozen=True, kw_only=True)
class MeasuredNorms:
    """Norms of K optimizer steps.

    Attributes:
        total: Over all parameters, (K,).
        groups: By group, (K,) each; their squares add up to the square of `total`.
        layers: By layer, (K,) each.
    """

    total: Norms
    groups: dict[str, Norms]
    layers: dict[str, Norms]


class GradNormMeter:
    """Measures gradients, keeps the norms where the gradients are, and hands them out on demand.

    Args:
        parameters: Name and parameter; those that are frozen are left out.

    Raises:
        ValueError: Nothing is trained.

    Example:
        >>> weight = nn.Parameter(torch.zeros(2)); weight.grad = torch.tensor([3.0, 4.0])
        >>> meter = GradNormMeter([("lm_head.weight", weight)])
        >>> norms = meter.read([meter.measure()])
        >>> norms.total.tolist(), {name: values.tolist() for name, values in norms.groups.items()}
        ([5.0], {'head': [5.0]})
    """

    def __init__(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
        trained = [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
        if not trained:
            raise ValueError("gradient norms: no parameter is trained; unfreeze one, or set model.adapter")
        self._parameters = [parameter for _, parameter in trained]
        groups = [group_of(name) for name, _ in trained]
        layers = [layer_of(name) for name, _ in trained]
        self._groups = {group: _indices(groups, group) for group in GROUPS if group in groups}
        self._layers = {layer: _indices(layers, layer) for layer in sorted({name for name in layers if name})}

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups that the model has, in the order of `GROUPS`."""
        return tuple(self._groups)

    @torch.no_grad()
    def measure(self) -> Tensor:
        """Norm of every parameter's gradient now, on its device, (N,); 0 where there is no gradient."""
        present = {i: parameter.grad for i, parameter in enumerate(self._parameters) if parameter.grad is not None}
        gradients = list(present.values())
        if not gradients:
            return torch.zeros(len(self._parameters))
        is_wide = any(gradient.dtype == torch.float64 for gradient in gradients)
        dtype = torch.float64 if is_wide else torch.float32
        device = gradients[0].device
        norms = torch.stack([norm.to(device) for norm in torch._foreach_norm(gradients, 2, dtype=dtype)])
        if len(gradients) == len(self._parameters):
            return norms
        return norms.new_zeros(len(self._parameters)).index_copy_(0, torch.tensor(list(present), device=device), norms)

    def read(self, measured: Sequence[Tensor]) -> MeasuredNorms:
        """Bring K results of `measure` to the host; nothing else waits for the device."""
        squares: Norms = torch.stack(list(measured)).cpu().double().square().numpy()
        return MeasuredNorms(
            total=np.sqrt(squares.sum(axis=1)),
            groups={name: np.sqrt(squares[:, columns].sum(axis=1)) for name, columns in self._groups.items()},
            layers={name: np.sqrt(squares[:, columns].sum(axis=1)) for name, columns in self._layers.items()},
        )


def _indices(names: Sequence[str | None], wanted: str) -> list[int]:
    return [i for i, name in enumerate(names) if name == wanted]
