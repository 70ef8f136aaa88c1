"""Watches the gradient norm of every optimizer step, and says at the end what to change.

In: a fit. Out: `train/grad_norm` and one scalar a group of parameters, TensorBoard histograms, and in the run directory
`grad_norms.csv`, `grad_spikes.csv` (which rows were in the steps that stood out), `grad_norms.json` and
`grad_norms.png`. A norm that is always clipped, or spikes, is the first sign of a setting that does not fit; the loss
shows it late or never.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor

from kosum_pl.modules import SummarizationModule
from kosum_pl.modules.step_normalizer import StepNormalizer
from kosum_pl.runs.files import NORM_PLOT_FILE
from kosum_pl.runs.lost_files import LostFiles
from kosum_pl.terminal import say

from .grad_norm.journal import GradJournal, PendingStep
from .grad_norm.norms import GradNormMeter, MeasuredNorms
from .grad_norm.plot import plot_norms
from .grad_norm.record import NormRecord

_SHARDING: Final = (ModelParallelStrategy, FSDPStrategy, DeepSpeedStrategy)
_READ_EVERY: Final = 50  # where nothing is logged


class GradNormHistogram(Callback):
    """Record the gradient norm before clipping: total, per group of parameters, per layer.

    Norms stay on the device and are read every `trainer.log_every_n_steps`. Gradients are whole by then: summed over
    micro-batches, averaged over ranks, unscaled (fp16) and divided by the step's tokens.

    Args:
        histogram_every_n_steps: Optimizer steps that go into one TensorBoard histogram; 0 for none.
        spike_factor: A norm above this many running medians is a spike.
        plot: Whether `grad_norms.png` is drawn, which needs matplotlib.

    Attributes:
        summary: Percentiles, clip rate and number of spikes; there once training has ended.
        advice: The line that was shown at the end.

    Raises:
        ValueError: A number out of range; or, when `fit` starts, a strategy under which no rank sees whole gradients.

    Example:
        >>> GradNormHistogram(spike_factor=1.0)
        Traceback (most recent call last):
        ValueError: GradNormHistogram.spike_factor is 1.0; give a number above 1, such as 3
    """

    def __init__(self, *, histogram_every_n_steps: int = 100, spike_factor: float = 3.0, plot: bool = True) -> None:
        if not spike_factor > 1:
            raise ValueError(f"GradNormHistogram.spike_factor is {spike_factor}; give a number above 1, such as 3")
        if histogram_every_n_steps < 0:
            raise ValueError(
                f"GradNormHistogram.histogram_every_n_steps is {histogram_every_n_steps}; give 0 or a positive number"
            )
        self.histogram_every_n_steps = histogram_every_n_steps
        self.spike_factor = spike_factor
        self.plot = plot
        self.summary: dict[str, float] = {}
        self.advice = ""
        self._journal: GradJournal | None = None
        self._pending: list[PendingStep] = []
        self._lost = LostFiles()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse what would give wrong numbers."""
        if stage == "fit" and isinstance(trainer.strategy, _SHARDING):
            raise ValueError(
                f"GradNormHistogram: under {type(trainer.strategy).__name__} a rank holds only parts of the gradients; "
                "take the callback out, or use trainer.strategy=ddp"
            )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the record, with what an interrupted run has left up to its checkpoint."""
        if len(trainer.optimizers) != 1:
            raise ValueError(
                f"GradNormHistogram: {len(trainer.optimizers)} optimizers, each with norms of its own; "
                "take the callback out"
            )
        optimized = {id(weight) for group in trainer.optimizers[0].param_groups for weight in group["params"]}
        named = [(name, weight) for name, weight in pl_module.named_parameters() if id(weight) in optimized]
        self._meter = GradNormMeter(named)
        record = NormRecord(
            gradient_clip_val=_clip_value(trainer),
            accumulate_grad_batches=trainer.accumulate_grad_batches,
            has_loss_scaling=trainer.precision == "16-mixed",
            spike_factor=self.spike_factor,
        )
        self._journal = GradJournal(
            Path(trainer.default_root_dir),
            record=record,
            groups=self._meter.groups,
            is_writing=trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False),
            num_ranks=trainer.world_size,
        )
        self._journal.start(until_step=trainer.global_step)
        self._pending = []
        self._example_ids: list[str] = []
        self._losses: list[Tensor] = []
        self._num_tokens = 0
        self._histograms: dict[str, list[float]] = {}

    # Measured on the device.

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note which rows go into the coming optimizer step."""
        self._example_ids += getattr(batch, "example_ids", ())

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Measure, after unscaling and before clipping; nothing waits for the device."""
        self._pending.append(
            PendingStep(
                step=trainer.global_step + 1,
                norms=self._meter.measure(),
                learning_rate=float(optimizer.param_groups[0]["lr"]),
                example_ids=self._example_ids,
            )
        )
        self._example_ids = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add up the step's loss; read what has been measured when it is time to log."""
        self._add_loss(trainer, pl_module, outputs, batch)
        if not self._pending or self._pending[-1].step != trainer.global_step or self._pending[-1].loss is not None:
            return
        if self._losses:
            self._pending[-1].loss = torch.stack(self._losses).sum() / self._num_tokens
        self._losses, self._num_tokens = [], 0
        step, log_every = trainer.global_step, int(trainer.log_every_n_steps)  # type: ignore[attr-defined]
        is_histogram_due = self.histogram_every_n_steps > 0 and step % self.histogram_every_n_steps == 0
        if step % (log_every or _READ_EVERY) == 0 or is_histogram_due:
            measured = self._read()
            if log_every and step % log_every == 0:
                scalars = {"train/grad_norm": measured.total[-1]}
                scalars |= {f"train/grad_norm_{name}": norms[-1] for name, norms in measured.groups.items()}
                pl_module.log_dict({name: float(norm) for name, norm in scalars.items()})
        if is_histogram_due:
            self._show_histograms(trainer, step)

    def _add_loss(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any) -> None:
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if not isinstance(loss, Tensor):
            return
        # Lightning has divided by the micro-batches, and our module gives a sum over tokens in units of its own.
        loss = loss.detach() * trainer.accumulate_grad_batches
        if isinstance(pl_module, SummarizationModule):
            self._losses.append(loss * StepNormalizer.unit_tokens)
            self._num_tokens += batch.num_supervised_tokens
        else:
            self._losses.append(loss)
            self._num_tokens += 1

    # Read on the host.

    def _read(self) -> MeasuredNorms:
        """Bring all pending steps to the host, the one time that the device is waited for."""
        pending, self._pending = self._pending, []
        measured = self._meter.read([entry.norms for entry in pending])
        assert self._journal is not None
        self._journal.add(pending, measured)
        if self.histogram_every_n_steps:
            for name, norms in ({"total": measured.total} | measured.groups | measured.layers).items():
                self._histograms.setdefault(name, []).extend(norms.tolist())
        return measured

    def _show_histograms(self, trainer: Trainer, step: int) -> None:
        for logger in trainer.loggers if trainer.is_global_zero else ():
            show = getattr(getattr(logger, "experiment", None), "add_histogram", None)
            for name, norms in self._histograms.items():
                finite = [norm for norm in norms if math.isfinite(norm)]
                if show and finite:
                    with self._lost.go_on("histograms"):
                        show(f"grad_norms/{name}", torch.tensor(finite), global_step=step)
        self._histograms = {}

    # Kept for later.

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Whoever resumes from this checkpoint finds all rows up to it."""
        self._flush()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the numbers so far behind, whatever ended the run."""
        if self._journal is not None:
            self._flush()
            self.summary, self.advice = self._journal.finish()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the summary and the picture, and say what to change."""
        assert self._journal is not None
        self._flush()
        self.summary, self.advice = self._journal.finish()
        if not trainer.is_global_zero or not self.advice:
            return
        say(self.advice)
        if self.plot and self._journal.is_writing and self.summary["max"] > 0:
            try:
                title = self.advice.partition("; advice")[0]
                with self._lost.go_on(NORM_PLOT_FILE):
                    plot_norms(self._journal.record, self._journal.folder / NORM_PLOT_FILE, title=title)
            except ImportError:
                say(f"{NORM_PLOT_FILE} is left out: matplotlib is not installed (pip install matplotlib)")

    def _flush(self) -> None:
        if self._pending:
            self._read()


def _clip_value(trainer: Trainer) -> float | None:
    """The largest norm let through; clipping by value knows no norm."""
    is_by_norm = trainer.gradient_clip_algorithm in (None, GradClipAlgorithmType.NORM)
    return float(trainer.gradient_clip_val) if trainer.gradient_clip_val and is_by_norm else None
