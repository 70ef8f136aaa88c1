"""The optimizer step's gradient as the mean over all its supervised tokens.

In: micro-batches' summed losses and token counts. Out: gradients divided by the tokens of the whole step, over
micro-batches and ranks, and the step's mean loss. A mean of micro-batches' means weighs a token by the company it
keeps: a short summary in a small batch would count several times as much as one in a large batch.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn


class StepNormalizer:
    """Counts an optimizer step's tokens and rescales its gradient once, after the last backward.

    Attributes:
        unit_tokens: Micro-batches' sums are divided by this before the backward pass, so that fp16's loss scaling
            starts in its usual range; a power of two, so that undoing it is exact.
    """

    unit_tokens = 1024

    def __init__(self) -> None:
        self._loss_sums: list[Tensor] = []
        self._num_tokens = 0

    def add(self, loss_sum: Tensor, *, num_tokens: int) -> None:
        """Count a micro-batch: its summed loss (0-dim, detached) over `num_tokens` supervised tokens."""
        self._loss_sums.append(loss_sum)
        self._num_tokens += num_tokens

    def normalize(self, parameters: Iterable[nn.Parameter], *, accumulate_grad_batches: int, world_size: int) -> Tensor:
        """Rescale the accumulated gradients in place and forget the step; return its mean loss over tokens, 0-dim fp64.

        Lightning divides every loss by `accumulate_grad_batches`, also in a short last window; data-parallel wrappers
        average gradients over ranks. The loss is the same on every rank.
        """
        device = self._loss_sums[0].device
        # MPS has no fp64; elsewhere a count of tokens should not be rounded.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        num_own_tokens = torch.tensor(self._num_tokens, dtype=dtype, device=device)
        total = torch.stack([torch.stack(self._loss_sums).sum(dtype=dtype), num_own_tokens])
        if world_size > 1:
            torch.distributed.all_reduce(total)
        loss_sum, num_tokens = total.unbind()
        factor = self.unit_tokens * accumulate_grad_batches * world_size / num_tokens
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch._foreach_mul_(gradients, factor.to(gradients[0].dtype))
        self._loss_sums, self._num_tokens = [], 0
        mean: Tensor = loss_sum / num_tokens
        return mean


def is_last_micro_batch(trainer: Trainer) -> bool:
    """Whether the optimizer steps after the current batch: the accumulation window is full, or the epoch ends."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    num_ready = progress.current.ready
    is_full = num_ready % trainer.accumulate_grad_batches == 0
    return is_full or progress.is_last_batch or num_ready >= trainer.num_training_batches
