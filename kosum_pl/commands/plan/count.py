"""Memory of settings: each model's shape is read once, and every change of a config is counted anew.

In: `PlanSettings`. Out: the batch that needs most, and a `MemoryEstimate` of a training step and of validation.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from kosum_pl.commands.plan.memory import MemoryEstimate, estimate
from kosum_pl.commands.plan.meta_model import read_shape
from kosum_pl.commands.plan.settings import PlanSettings
from kosum_pl.commands.plan.shapes import BatchShape, ModelShape
from kosum_pl.commands.plan.storage import cache_bytes


class ShapeCache:
    """Estimates of settings; each shape is read once."""

    def __init__(self) -> None:
        self._shapes: dict[str, tuple[ModelShape, torch.dtype]] = {}

    def shape(self, settings: PlanSettings) -> tuple[ModelShape, torch.dtype]:
        """Shape of the model and dtype of its weights."""
        # A changed dtype or quantization leaves the shape as it is.
        source = replace(settings.source, dtype="auto", quantization="none")
        key = repr((source, settings.adapter))
        if key not in self._shapes:
            self._shapes[key] = read_shape(
                source, is_causal=settings.is_causal, num_tokens=settings.num_tokens, adapter=settings.adapter
            )
        shape, stored = self._shapes[key]
        chosen = settings.source.torch_dtype
        return shape, chosen if isinstance(chosen, torch.dtype) else stored

    def largest(self, settings: PlanSettings) -> tuple[BatchShape, MemoryEstimate]:
        """The batch that needs most, and the memory of a training step on it."""
        shape, dtype = self.shape(settings)
        step = settings.step(dtype)
        counted = ((batch, estimate(shape, batch, step)) for batch in settings.batches)
        batch, largest = max(counted, key=lambda pair: pair[1].total)
        if not settings.eval_batch_size:
            return batch, largest
        # Gradients of the last step are kept until the next one.
        kept = largest.weights + largest.adapter + largest.optimizer + largest.gradients
        validation = kept + cache_bytes(shape, settings.generation, step)
        return batch, replace(largest, moments={**largest.moments, "validation": validation})
