"""Logs how fast a fit trains, and what it waits for.

In: the batches of `fit`. Out: tokens of three kinds per second, step and waiting time, memory and operations, every
`log_every_n_steps` optimizer steps, and one line at the end. GPU utilisation says how busy a device is, also with
padding; tokens per second say how fast a run learns.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.throughput import get_available_flops
from lightning.pytorch import Callback, LightningModule, Trainer

from kosum_pl.modules import SummarizationModule
from kosum_pl.terminal import say

from .throughput.flops import FlopShape, batch_lengths, flop_shape, step_flops
from .throughput.memory_use import memory_use
from .throughput.meter import TOTALS, CudaTimer, HostTimer, StepMeter, Timer, Totals, total_over_ranks


class ThroughputLogger(Callback):
    """Log speed, waiting and memory under `train/`.

    Rates are over the wall time of the steps since the last log, waiting included; validations, checkpoints and the
    first steps are not in it. Several ranks: tokens and rows are summed, wall time and memory are the largest, waiting
    is the mean, and step times are rank zero's. On CUDA times are the device's own, read with one wait at each log.

    Logged: `tokens_per_s` (text alone), `padded_tokens_per_s`, `supervised_tokens_per_s`, `rows_per_s`,
    `padding_ratio`, `step_ms_p50`, `step_ms_p95`, `data_wait_share`, `tflops_per_s`, `device_peak_share` where the
    device is known, and `memory_allocated_gb`, `memory_reserved_gb` (on CPU `memory_rss_gb`), `memory_peak_gb`. The
    progress bar shows `tok_per_s` and `mem_gb`.

    Args:
        warmup_steps: First optimizer steps of the process, which are left out.

    Attributes:
        clock: Seconds since some moment; what the host's time is read from.
        summary: The same names without `train/`, over all measured steps; empty before the end.

    Raises:
        ValueError: `warmup_steps` is negative; when `fit` starts: the module is no `SummarizationModule`.

    Example:
        >>> ThroughputLogger(warmup_steps=-1)
        Traceback (most recent call last):
        ValueError: ThroughputLogger.warmup_steps is -1; give 0 or more
    """

    def __init__(self, warmup_steps: int = 3) -> None:
        if warmup_steps < 0:
            raise ValueError(f"ThroughputLogger.warmup_steps is {warmup_steps}; give 0 or more")
        self.warmup_steps = warmup_steps
        self.clock: Callable[[], float] = time.perf_counter
        self._start_over()

    def _start_over(self, timer: Timer | None = None) -> None:
        self.summary: dict[str, float] = {}
        self._meter = StepMeter(timer, warmup_steps=self.warmup_steps)
        self._step_seconds = array("d")
        self._total = Totals()
        self._memory: dict[str, float] = {}
        self._shape = FlopShape()
        self._peak_flops: float | None = None
        self._last_step = 0

    # What is measured.

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Read the model's shape, and start anew."""
        if not isinstance(pl_module, SummarizationModule):
            raise ValueError(
                f"ThroughputLogger: {type(pl_module).__name__} is no SummarizationModule; take the callback out"
            )
        device = trainer.strategy.root_device
        self._start_over(CudaTimer() if device.type == "cuda" else HostTimer(self.clock))
        self._shape = flop_shape(pl_module.language_model)
        self._peak_flops = _peak_flops(trainer, pl_module)
        self._last_step = trainer.global_step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Waiting ends."""
        self._meter.begin_batch()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and log after every so many optimizer steps."""
        has_stepped = trainer.global_step > self._last_step
        self._last_step = trainer.global_step
        lengths = batch_lengths(batch, is_causal=bool(pl_module.is_causal))
        work = Totals(
            rows=lengths.num_rows,
            real_tokens=batch.num_real_tokens,
            padded_tokens=lengths.num_padded,
            supervised_tokens=lengths.num_supervised,
            flops=step_flops(self._shape, lengths),
        )
        self._meter.end_batch(work, is_step=has_stepped)
        interval = int(trainer.log_every_n_steps)  # type: ignore[attr-defined]
        if has_stepped and interval and trainer.global_step % interval == 0:
            self._log(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A validation is no waiting for data."""
        self._meter.pause()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Nor is a checkpoint."""
        self._meter.pause()

    # What is logged.

    def _log(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total, step_seconds = self._collect(trainer)
        if not total.num_steps:
            return
        values = self._values(total, step_seconds)
        named = {f"train/{name}": value for name, value in values.items()}
        # Not through `log`, which takes a millisecond a name; Lightning's own step count begins at 0.
        for logger in trainer.loggers:
            logger.log_metrics(named, step=trainer.global_step - 1)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in named.items()})
        used = values.get("memory_allocated_gb", values.get("memory_rss_gb"))
        aliases = {"tok_per_s": float(round(values["tokens_per_s"]))} | ({} if used is None else {"mem_gb": used})
        pl_module.log_dict(aliases, on_step=True, on_epoch=False, prog_bar=True, logger=False)

    def _collect(self, trainer: Trainer) -> tuple[Totals, list[float]]:
        """Steps since the last call, over all ranks in one collective; they are added to the whole."""
        own, step_seconds = self._meter.collect()
        if not own.num_steps:
            return own, step_seconds
        device = trainer.strategy.root_device
        memory = memory_use(device)
        ranks = [[*astuple(own), *memory.values()]]
        if trainer.world_size > 1:
            vector = torch.tensor(ranks[0], dtype=torch.float64, device=device)
            ranks = trainer.strategy.all_gather(vector).tolist()
        total = total_over_ranks([numbers[: len(TOTALS)] for numbers in ranks])
        largest = map(max, zip(*(numbers[len(TOTALS) :] for numbers in ranks), strict=True))
        self._memory = dict(zip(memory, largest, strict=True))
        self._total += total
        self._step_seconds.extend(step_seconds)
        return total, step_seconds

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Sum up, before anything else is done with the model."""
        self._collect(trainer)
        if self._total.num_steps:
            self.summary = self._values(self._total, self._step_seconds)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print one line, when the progress bar has let go of the terminal."""
        if not trainer.is_global_zero:
            return
        if self.summary:
            say(speed_in_words(self.summary))
        else:
            say(f"throughput: no step was measured, as the first {self.warmup_steps} are left out")

    def _values(self, total: Totals, step_seconds: Sequence[float]) -> dict[str, float]:
        """All values by name; rates are per second of wall time."""
        seconds = total.wall_seconds
        median, high = (round(float(value), 9) for value in np.percentile(np.asarray(step_seconds) * 1e3, (50, 95)))
        values = {
            "tokens_per_s": total.real_tokens / seconds,
            "rows_per_s": total.rows / seconds,
            "tflops_per_s": total.flops / seconds / 1e12,
            "padded_tokens_per_s": total.padded_tokens / seconds,
            "supervised_tokens_per_s": total.supervised_tokens / seconds,
            "padding_ratio": total.padding_ratio,
            "step_ms_p50": median,
            "step_ms_p95": high,
            "data_wait_share": total.wait_seconds / seconds,
            **self._memory,
        }
        return values | ({"device_peak_share": total.flops / seconds / self._peak_flops} if self._peak_flops else {})


def speed_in_words(summary: Mapping[str, float]) -> str:
    """A run's speed in one line.

    Example:
        >>> speed_in_words({"tokens_per_s": 1234.4, "padding_ratio": 0.081, "step_ms_p50": 45.2, "step_ms_p95": 60.0,
        ...                 "data_wait_share": 0.012, "memory_peak_gb": 1.23})
        'throughput: 1,234 tokens/s (real), padding 8%, step 45 ms (p95 60), waiting for data 1%, memory peak 1.2 GB'
    """
    parts = [
        f"throughput: {summary['tokens_per_s']:,.0f} tokens/s (real)",
        f"padding {summary['padding_ratio']:.0%}",
        f"step {summary['step_ms_p50']:,.0f} ms (p95 {summary['step_ms_p95']:,.0f})",
        f"waiting for data {summary['data_wait_share']:.0%}",
    ]
    if "memory_peak_gb" in summary:
        parts.append(f"memory peak {summary['memory_peak_gb']:.1f} GB")
    if "device_peak_share" in summary:
        parts.append(f"{summary['device_peak_share']:.0%} of the device's peak")
    return ", ".join(parts)


def _peak_flops(trainer: Trainer, module: SummarizationModule) -> float | None:
    """Operations a second that all devices could do at best; None where nobody knows."""
    device = trainer.strategy.root_device
    if device.type != "cuda":
        return None
    precision = str(trainer.precision)
    named = {"bf16-mixed": torch.bfloat16, "bf16-true": torch.bfloat16, "16-mixed": torch.float16}
    dtype = named.get(precision, torch.float16 if precision == "16-true" else module.language_model.dtype)
    peak = get_available_flops(device, dtype)
    return None if peak is None else float(peak) * trainer.world_size
