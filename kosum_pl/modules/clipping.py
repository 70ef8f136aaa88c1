"""Gradient clipping that says the norm it has computed.

In: a module inside `fit`, its optimizer, the Trainer's settings. Out: clipped gradients, and the norm they had.
Lightning clips by the same functions and keeps the norm to itself; to ask once more would read all gradients twice.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor
from torch.optim import Optimizer


def clip_gradients(
    module: LightningModule, optimizer: Optimizer, value: int | float | None, algorithm: str | None
) -> Tensor:
    """Clip an optimizer's gradients in place; return the norm they had, 0-dim.

    Where a strategy shards gradients the Trainer clips, and the norm is zero: no rank sees it.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    is_whole = not is_sharded(module.trainer)
    norm = torch.nn.utils.get_total_norm(gradients) if is_whole else torch.zeros((), device=module.device)
    is_by_norm = algorithm in (None, GradClipAlgorithmType.NORM, "norm")
    if value and is_by_norm and is_whole:
        torch.nn.utils.clip_grads_with_norm_(parameters, value, norm)
    else:
        module.clip_gradients(optimizer, gradient_clip_val=value, gradient_clip_algorithm=algorithm)
    return norm


def is_sharded(trainer: Trainer) -> bool:
    """Whether the ranks share weights and gradients, so that none of them computes alone."""
    return isinstance(trainer.strategy, (ModelParallelStrategy, FSDPStrategy, DeepSpeedStrategy))


def row_names(trainer: Trainer) -> Callable[[int], str]:
    """The id of a training row by its number, where the data module knows it."""
    tables = getattr(getattr(trainer, "datamodule", None), "tables", {})
    return (lambda row: str(tables["train"][row].example_id)) if "train" in tables else str
