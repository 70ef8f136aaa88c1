"""Memory of a real training step of a true shape, traced without a GPU and without the memory.

In: a module with nothing loaded and a batch. Out: the largest sum of all tensors alive at any operation of forward,
loss, backward, clipping and optimizer, after a first step. Tensors know their sizes and hold nothing, so that an 8B
model is traced in half a minute on any machine. What a GPU does otherwise than a CPU is done as there: dropout masks
of one byte, LayerNorm in fp32 under autocast, adapters that know of autocast, AdamW's update of all tensors at once.
Workspaces inside a kernel are not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kosum_pl.encode import Batch


class LiveStorages(TorchDispatchMode):
    """Bytes of all storages that are alive, after every operation, forward and backward.

    Args:
        tensors: Those that are there before the first operation.

    Attributes:
        now: Bytes alive.
        peak: The most that were alive at once.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._sizes: dict[int, int] = {}
        for tensor in tensors:
            self._add(tensor)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return result

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._sizes:
            return
        self._sizes[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._sizes.pop(key)


class PackedLinear(nn.Module):
    """A linear layer on nf4 weights: bitsandbytes' own function on a plain tensor, as its parameter cannot be traced.

    Args:
        linear: Whose place it takes.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features, self.bias = linear.in_features, linear.out_features, None
        packed, self.state = _quantize(torch.empty(linear.out_features, linear.in_features, dtype=torch.bfloat16))
        self.weight = nn.Parameter(packed, requires_grad=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Multiply with the weight, unpacked."""
        from bitsandbytes.autograd._functions import MatMul4Bit

        product: Tensor = MatMul4Bit.apply(inputs.bfloat16(), self.weight, None, None, self.state)
        return product.to(inputs.dtype)

    def scales(self) -> list[Tensor]:
        """Tensors beside the weight."""
        return [self.state.absmax, self.state.code, self.state.state2.absmax, self.state.state2.code]


def _quantize(weight: Tensor) -> Any:
    from bitsandbytes.functional import quantize_4bit

    return quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=True)


def traced_peak(module: Any, batch: Batch, *, num_micro_batches: int, is_autocast: bool) -> int:
    """Bytes at the peak of the second optimizer step.

    Args:
        module: A summarization module with nothing loaded; it is of no other use afterwards.
        batch: Of every micro-batch.
        num_micro_batches: Forward and backward passes of an optimizer step; more than two are as two.
        is_autocast: Whether products are in bf16.

    Raises:
        ValueError: The base is int8.
    """
    is_packed = _build_without_memory(module)
    _quantize(torch.randn(64, 64))  # makes bitsandbytes' tables, once, of real numbers
    with FakeTensorMode(allow_non_fake_inputs=True), _as_on_a_gpu():
        model = _give_tensors(module.language_model, is_packed=is_packed)
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(trained, foreach=True)

        def step(number: int) -> None:
            for index in range(number):
                with torch.autocast("cpu", torch.bfloat16, enabled=is_autocast):
                    loss = module.training_step(batch, index)
                loss.backward()
                del loss
            nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()

        step(1)
        scales = [tensor for layer in model.modules() if isinstance(layer, PackedLinear) for tensor in layer.scales()]
        moments = [value for state in optimizer.state.values() for value in state.values()]
        with LiveStorages([*model.parameters(), *model.buffers(), *scales, *moments]) as storages:
            step(min(2, num_micro_batches))
    return storages.peak


def _build_without_memory(module: Any) -> bool:
    """Give a module its model of meta tensors, in 16 bit; returns whether its base is to be packed."""
    quantization = module.source.quantization
    if quantization == "int8":
        raise ValueError("model.quantization is int8: a step on such weights cannot be traced; take nf4 or none")
    module.source = replace(module.source, quantization="none")
    with torch.device("meta"):
        module.configure_model()
    module.log = module.log_dict = lambda *_, **__: None  # there is no trainer
    return bool(quantization == "nf4")


def _give_tensors(model: nn.Module, *, is_packed: bool) -> nn.Module:
    """Replace meta tensors by ones of a device, still without content, and pack the adapters' base layers."""
    from peft.tuners.lora.bnb import Linear4bit

    for layer in list(model.modules()):
        if is_packed and hasattr(layer, "base_layer"):
            layer.base_layer = PackedLinear(layer.base_layer)
            layer.__class__ = Linear4bit  # same attributes; another order of casts
        elif not isinstance(layer, PackedLinear):
            layer.to_empty(device="cpu", recurse=False)
    model.tie_weights()  # type: ignore[operator]
    return model


@contextmanager
def _as_on_a_gpu() -> Iterator[None]:
    """Dropout masks of a byte, LayerNorm in fp32, and an autocast that those who do not name a device see."""
    asked, normed = torch.is_autocast_enabled, nn.functional.layer_norm
    attended = nn.functional.scaled_dot_product_attention

    def dropout(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        return torch.ops.aten.native_dropout(values, p, True)[0] if training and p > 0 else values

    def layer_norm(values: Tensor, *settings: Any) -> Tensor:
        return normed(values.float(), *settings) if asked("cpu") else normed(values, *settings)

    def attention(
        query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **settings: Any
    ) -> Tensor:
        if attn_mask is None:
            return attended(query, key, value, attn_mask, **settings)
        tensors = (query, key, value, attn_mask)
        if asked("cpu"):
            tensors = tuple(tensor.bfloat16() for tensor in tensors)
        rate, scale = settings.get("dropout_p", 0.0), settings.get("scale")
        return torch.ops.aten._scaled_dot_product_efficient_attention(*tensors, True, rate, False, scale=scale)[0]

    with (
        patch.object(nn.functional, "dropout", dropout),
        patch.object(nn.functional, "scaled_dot_product_attention", attention),
        patch.object(nn.functional, "layer_norm", layer_norm),
        patch.object(torch, "is_autocast_enabled", lambda *device: asked(*(device or ("cpu",)))),
    ):
        yield
