"""Optimizer and learning-rate schedule.

In: named parameters and settings. Out: AdamW, in one of four forms, over two parameter groups, and a per-step schedule
with warm-up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import torch
from torch import nn

ScheduleName = Literal["linear", "cosine", "constant"]
OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw", "paged_adamw_8bit"]
_BITSANDBYTES: Final = {
    "adamw_8bit": "AdamW8bit",
    "paged_adamw": "PagedAdamW",
    "paged_adamw_8bit": "PagedAdamW8bit",
}


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """AdamW and its schedule; `SummarizationModule` explains the arguments of the same names.

    Attributes:
        optimizer: `adamw` keeps 8 bytes of moments a parameter, `adamw_8bit` 2; `paged_…` moves them to the host
            where the device runs out of memory.
    """

    learning_rate: float = 3e-5
    weight_decay: float = 0.01
    schedule: ScheduleName = "linear"
    warmup_steps: int = 0
    warmup_ratio: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    optimizer: OptimizerName = "adamw"

    def __post_init__(self) -> None:
        """Refuse values that could only fail later or train nothing."""
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"model.learning_rate is {self.learning_rate}; give a number above 0, such as 3e-5")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"model.weight_decay is {self.weight_decay}; give 0 or a positive number")
        if self.warmup_steps < 0:
            raise ValueError(f"model.warmup_steps is {self.warmup_steps}; give 0 or a positive number")
        if not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"model.warmup_ratio is {self.warmup_ratio}; give a share of all steps from 0 to below 1")
        if self.optimizer not in get_args(OptimizerName):
            raise ValueError(f"model.optimizer is '{self.optimizer}'; known: {', '.join(get_args(OptimizerName))}")

    def num_warmup_steps(self, num_training_steps: int) -> int:
        """Optimizer steps of warm-up.

        Example:
            >>> OptimizerSettings(warmup_ratio=0.1).num_warmup_steps(500)
            50
        """
        return self.warmup_steps or round(self.warmup_ratio * num_training_steps)


def parameter_groups(parameters: Iterable[tuple[str, nn.Parameter]], *, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups of what is trained: matrices, which decay, and vectors (norms, biases), which do not."""
    trained = [parameter for _, parameter in parameters if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(
    parameters: Iterable[tuple[str, nn.Parameter]], *, settings: OptimizerSettings, num_training_steps: float
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """AdamW and its schedule, to be stepped once an optimizer step.

    Raises:
        ValueError: `num_training_steps` is infinite, so that no schedule ends.

    Source:
        Loshchilov and Hutter, Decoupled Weight Decay Regularization; schedules of transformers.optimization.
    """
    from transformers import get_scheduler

    if num_training_steps == float("inf"):
        raise ValueError("the number of training steps is unknown; set trainer.max_steps or trainer.max_epochs")
    num_steps = int(num_training_steps)
    optimizer = _optimizer_class(settings.optimizer)(
        parameter_groups(parameters, weight_decay=settings.weight_decay),
        lr=settings.learning_rate,
        betas=settings.betas,
    )
    schedule = get_scheduler(
        "constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        optimizer,
        num_warmup_steps=settings.num_warmup_steps(num_steps),
        num_training_steps=num_steps,
    )
    return optimizer, schedule


def _optimizer_class(name: str) -> Any:
    if name not in _BITSANDBYTES:
        return torch.optim.AdamW
    try:
        import bitsandbytes
    except ImportError as error:
        raise ValueError(
            f"model.optimizer={name} needs bitsandbytes, which cannot be loaded ({error}): pip install bitsandbytes"
        ) from None
    return getattr(bitsandbytes.optim, _BITSANDBYTES[name])
