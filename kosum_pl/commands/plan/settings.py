"""What of a config decides how much memory its training takes.

In: the parts of a config. Out: `PlanSettings`, frozen, so that a changed copy can be counted again; and the options of
the command line that make one of the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from kosum_pl.cli.parts import Parts
from kosum_pl.commands.plan.batches import RowLengths, batch_shapes
from kosum_pl.commands.plan.shapes import FP32, BatchShape, StepSettings
from kosum_pl.data.batching.lengths import round_lengths
from kosum_pl.models.adapters import AdapterSettings
from kosum_pl.models.source import ModelSource

_HALF: Final = 2
# Of the shipped LoRA configs; at a full fine-tuning's 2e-5 an adapter, which starts at zero, learns next to nothing.
_LORA_LEARNING_RATE: Final = "2e-4"
# A field, its option, for those that are plain values.
_OPTIONS: Final = {
    "gradient_checkpointing": "--model.gradient_checkpointing",
    "optimizer": "--model.optimizer",
    "precision": "--trainer.precision",
    "max_batch_tokens": "--data.max_batch_tokens",
    "batch_size": "--data.batch_size",
    "accumulate_grad_batches": "--trainer.accumulate_grad_batches",
    "max_source_tokens": "--data.max_source_tokens",
    "eval_batch_size": "--data.eval_batch_size",
}


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """A config, as far as memory goes, by the config's own names.

    Attributes:
        num_tokens: Length of the tokenizer.
        adapter: Adapters; None where all weights are trained.
        rows: Lengths of the training rows; None where they are not known.
        eval_batch_size: Rows that validation generates at once; 0 where it does not generate.
        num_beams: Of the preset that serves validation inside `fit`, as `max_new_tokens`; the most where there are
            several.
    """

    source: ModelSource
    is_causal: bool
    num_tokens: int
    adapter: AdapterSettings | None
    gradient_checkpointing: bool
    optimizer: str
    precision: str
    accumulate_grad_batches: int
    max_batch_tokens: int | None
    batch_size: int | None
    max_source_tokens: int
    max_summary_tokens: int
    is_smoothed: bool = False
    rows: RowLengths | None = None
    eval_batch_size: int = 0
    num_beams: int = 1
    max_new_tokens: int = 0

    @property
    def row_length(self) -> int:
        """Tokens of the longest row, as the batch's budget counts them."""
        return self.max_source_tokens + (self.max_summary_tokens if self.is_causal else 0)

    @property
    def num_rows(self) -> int:
        """Rows of a batch of longest rows."""
        if self.batch_size is not None:
            return self.batch_size
        assert self.max_batch_tokens is not None
        return max(1, self.max_batch_tokens // int(round_lengths(np.array([self.row_length]))[0]))

    @property
    def batch(self) -> BatchShape:
        """A batch of longest rows, with a loss on the longest summaries."""
        return BatchShape(
            num_rows=self.num_rows,
            source_length=0 if self.is_causal else self.max_source_tokens,
            target_length=self.row_length if self.is_causal else self.max_summary_tokens,
            num_supervised=self.num_rows * self.max_summary_tokens,
        )

    @property
    def batches(self) -> tuple[BatchShape, ...]:
        """The batch of longest rows, and those that the training rows make."""
        if self.rows is None:
            return (self.batch,)
        return (
            self.batch,
            *batch_shapes(
                self.rows,
                is_causal=self.is_causal,
                max_source_tokens=self.max_source_tokens,
                max_batch_tokens=self.max_batch_tokens,
                batch_size=self.batch_size,
            ),
        )

    @property
    def generation(self) -> BatchShape:
        """A batch of validation with the longest prompts."""
        return BatchShape(
            num_rows=self.eval_batch_size * self.num_beams,
            source_length=0 if self.is_causal else self.max_source_tokens,
            target_length=self.max_new_tokens + (self.max_source_tokens if self.is_causal else 0),
        )

    def step(self, dtype: torch.dtype) -> StepSettings:
        """Dtypes and what is kept, of weights that the config says are of `dtype`."""
        is_half = self.precision.startswith(("bf16", "16"))
        is_true_half = is_half and self.precision.endswith("-true")
        is_autocast = is_half and not is_true_half
        weight_bytes = _HALF if is_true_half else dtype.itemsize
        return StepSettings(
            weight_bytes=weight_bytes,
            compute_bytes=_HALF if is_autocast else weight_bytes,
            is_autocast=is_autocast,
            is_base_trained=self.adapter is None,
            adapter_rank=self.adapter.rank if self.adapter else 0,
            # `add_adapter` keeps 16-bit adapters in fp32; a `…-true` precision casts all there is.
            adapter_bytes=weight_bytes if is_true_half else max(weight_bytes, FP32),
            has_adapter_dropout=self.adapter is not None and self.adapter.dropout > 0,
            quantization=self.source.quantization,
            is_double=self.source.double_quantization,
            optimizer=self.optimizer,
            is_checkpointed=self.gradient_checkpointing,
            is_accumulated=self.accumulate_grad_batches > 1,
            is_smoothed=self.is_smoothed,
        )

    def options_from(self, other: PlanSettings) -> list[str]:
        """Options that turn another config into this one."""
        options = []
        if self.adapter != other.adapter and self.adapter is not None:
            options.append(f"--model.adapter.rank {self.adapter.rank}")
            if other.adapter is None:
                options.append(f"--model.learning_rate {_LORA_LEARNING_RATE}")
        for name in ("dtype", "quantization"):
            if getattr(self.source, name) != getattr(other.source, name):
                options.append(f"--model.{name} {getattr(self.source, name)}")
        for name, option in _OPTIONS.items():
            value = getattr(self, name)
            if value != getattr(other, name):
                options.append(f"{option} {value if isinstance(value, str) else json.dumps(value)}")
        return options


def plan_settings(parts: Parts) -> PlanSettings:
    """Settings of a config, its rows unread; limits that are `auto` are measured already, or at their ceilings.

    Raises:
        ValueError: A limit is neither.
    """
    limits = parts.datamodule.splits.largest_limits
    module, trainer, data = parts.module, parts.config["trainer"], parts.config["data"]
    presets = module.decoding.fit_router.candidates
    is_generating = module.generate_during_fit and bool(data["val_file"])
    return PlanSettings(
        source=module.source,
        is_causal=module.is_causal,
        num_tokens=len(module.encoder.tokenizer),
        adapter=module.adapter,
        gradient_checkpointing=module.gradient_checkpointing,
        optimizer=module.optimizer_settings.optimizer,
        precision=str(trainer["precision"] or "32-true"),
        accumulate_grad_batches=int(trainer["accumulate_grad_batches"]),
        max_batch_tokens=data["max_batch_tokens"],
        batch_size=data["batch_size"],
        max_source_tokens=limits.max_source_tokens,
        max_summary_tokens=limits.max_summary_tokens,
        is_smoothed=module.label_smoothing > 0,
        eval_batch_size=int(data["eval_batch_size"]) if is_generating else 0,
        num_beams=max(preset.num_beams for preset in presets),
        max_new_tokens=max(preset.most_new_tokens for preset in presets),
    )
