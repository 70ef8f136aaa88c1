"""What `plan` counted, as a table for a terminal and as plain values for JSON.

In: settings, their estimate and the device's memory. Out: a table by kind of memory, the peak against the device, and
what would make it fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kosum_pl.commands.plan.advice import Proposal
from kosum_pl.commands.plan.memory import CONTEXT_BYTES, MemoryEstimate
from kosum_pl.commands.plan.settings import PlanSettings
from kosum_pl.commands.plan.shapes import BatchShape, ModelShape

_GB = 1e9
_KINDS = ("weights", "adapter", "optimizer", "gradients", "activations", "logits", "working", "step")
_ASSUMPTION = (
    "counted, not measured: one device; validation by its keys and values, of prompts at data.max_source_tokens; "
    "fragmentation and buffers of several devices come on top"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class PlanReport:
    """What `plan` has counted.

    Attributes:
        batch: The largest; `estimate` is its memory.
        unread: Why the training rows were not read; empty where they were.
        limit_lines: How limits were measured on them, a line each; empty where none is.
        memory: Bytes of the device; `memory_source` is where that number comes from.
    """

    settings: PlanSettings
    shape: ModelShape
    batch: BatchShape
    unread: str
    estimate: MemoryEstimate
    memory: int
    memory_source: str
    limit_lines: Sequence[str] = ()
    proposals: Sequence[Proposal] = ()

    @property
    def fits(self) -> bool:
        """Whether peak and CUDA context fit."""
        return self.estimate.total <= self.memory

    def values(self) -> dict[str, Any]:
        """All of it as plain values; bytes."""
        return {
            "model": {
                "name": self.settings.source.model_name,
                "num_parameters": self.shape.num_base,
                "num_trained": sum(self.shape.trained),
                "quantization": self.settings.source.quantization,
            },
            "batch": {**asdict(self.batch), "accumulate_grad_batches": self.settings.accumulate_grad_batches},
            "is_of_training_rows": self.batch != self.settings.batch,
            "training_rows_unread": self.unread,
            "bytes": {kind: getattr(self.estimate, kind) for kind in _KINDS},
            "moments": dict(self.estimate.moments),
            "peak_moment": self.estimate.peak_moment,
            "peak": self.estimate.peak,
            "context": CONTEXT_BYTES,
            "total": self.estimate.total,
            "memory": self.memory,
            "fits": self.fits,
            "proposals": [
                {"names": list(one.names), "options": list(one.options), "total": one.estimate.total}
                for one in self.proposals
            ],
        }

    def print(self, console: Console) -> None:
        """The page: model and batch, a table by kind and moment, the verdict last."""
        for line in (self._model_line(), *self.limit_lines, self._batch_line(), self._origin_line()):
            console.print(Text(line), soft_wrap=True)
        table = Table(title="memory of a training step", title_justify="left")
        table.add_column("kind")
        table.add_column("GB", justify="right")
        table.add_column("what")
        for kind in _KINDS:
            table.add_row(kind, gigabytes(getattr(self.estimate, kind)), self._explanation(kind))
        table.add_section()
        for name, num_bytes in self.estimate.moments.items():
            is_peak = name == self.estimate.peak_moment
            remarks = [self._validation()] if name == "validation" else []
            remarks += ["the peak"] if is_peak else []
            table.add_row(name, gigabytes(num_bytes), ", ".join(remarks), style="bold" if is_peak else "")
        table.add_row("CUDA context", gigabytes(CONTEXT_BYTES), "constant; torch does not count it")
        console.print(table)
        for line in self._verdict():
            console.print(Text(line), soft_wrap=True)

    def _model_line(self) -> str:
        num_trained, num_base = sum(self.shape.trained), self.shape.num_base
        return (
            f"model: {self.settings.source.model_name}, {num_base:,} parameters, {num_trained:,} trained "
            f"({num_trained / (num_base + sum(self.shape.adapter)):.2%})"
        )

    def _batch_line(self) -> str:
        batch, settings = self.batch, self.settings
        lengths = f"{batch.target_length:,} tokens"
        if batch.source_length:
            lengths = f"{batch.source_length:,} source and {batch.target_length:,} summary tokens"
        return (
            f"largest batch: {batch.num_rows:,} rows of {lengths}, {batch.num_supervised:,} with a loss; "
            f"{settings.accumulate_grad_batches} to an optimizer step"
        )

    def _origin_line(self) -> str:
        source, summary = self.settings.max_source_tokens, self.settings.max_summary_tokens
        limits = f"rows at data.max_source_tokens={source:,} and data.max_summary_tokens={summary:,}"
        if self.unread:
            return f"  of {limits} alone, as {self.unread}; many short rows under data.max_batch_tokens can need more"
        if self.batch == self.settings.batch:
            return f"  of {limits}; data.train_file's rows need less"
        return "  of data.train_file's rows; one of rows at the limits needs less"

    def _explanation(self, kind: str) -> str:
        settings, is_checkpointed = self.settings, self.settings.gradient_checkpointing
        quantized = settings.source.quantization
        return {
            "weights": f"{quantized} linear layers, the rest as it is" if quantized != "none" else settings.precision,
            "adapter": f"rank {settings.adapter.rank}" if settings.adapter else "none: all weights are trained",
            "optimizer": f"moments of {settings.optimizer}",
            "gradients": "of what is trained",
            "activations": "inputs of layers alone: checkpointing is on" if is_checkpointed else "of all layers",
            "logits": "of supervised positions alone, and their gradients",
            "working": "a layer's backward pass" + (", computed again" if is_checkpointed else ""),
            "step": "temporaries of the optimizer's step",
        }[kind]

    def _validation(self) -> str:
        beams = f", {self.settings.num_beams} beams each" if self.settings.num_beams > 1 else ""
        return f"{self.settings.eval_batch_size} rows generated at once{beams}"

    def _verdict(self) -> Iterator[str]:
        total, room = gigabytes(self.estimate.total), gigabytes(self.memory)
        yield _ASSUMPTION
        if self.fits:
            yield f"fits: {total} of {room} GB ({self.memory_source})"
            return
        yield f"does not fit: {total} of {room} GB ({self.memory_source})"
        if not self.proposals:
            yield "no change that plan knows of makes it fit; take a smaller model or a larger device"
            return
        yield "would fit with one of these, as options of fit:"
        for proposal in self.proposals:
            yield f"  # {' + '.join(proposal.names)}: {gigabytes(proposal.estimate.total)} GB"
            yield f"  {' '.join(proposal.options)}"


def gigabytes(num_bytes: int) -> str:
    """A number of bytes in GB of 10⁹.

    Example:
        >>> gigabytes(24_000_000_000), gigabytes(3_200_000)
        ('24.00', '0.003')
    """
    value = num_bytes / _GB
    return f"{value:.2f}" if value >= 0.1 or not num_bytes else f"{value:.3f}"
