"""The files that a run's gradient norms are kept in.

In: steps as they are read from the device. Out: `grad_norms.csv` with a row a step, `grad_spikes.csv` with the rows of
the data set that were in a step that stood out, and `grad_norms.json` with what a report wants to show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kosum_pl.files import write_json
from kosum_pl.runs.files import NORM_SUMMARY_FILE, NORMS_FILE, SPIKES_FILE
from kosum_pl.runs.lost_files import LostFiles

from .advice import advice_line, advise, summarize
from .norms import MeasuredNorms
from .record import NormRecord, NormStep, StepTable, as_written


@dataclass(kw_only=True)
class PendingStep:
    """A step that has been measured and not yet read.

    Attributes:
        step: Counted from 1.
        norms: From `GradNormMeter.measure`, on the device.
        learning_rate: Used by this step.
        example_ids: Ids of the rows in it, of all micro-batches.
        loss: Mean loss, 0-dim, on the device; None where it is not known.
    """

    step: int
    norms: Tensor
    learning_rate: float
    example_ids: Sequence[str]
    loss: Tensor | None = None


class GradJournal:
    """Keeps a run's norms in memory and, where it may, in files.

    Args:
        folder: Where the files lie.
        record: What the steps are added to.
        groups: Names of the parameter groups, a column each.
        is_writing: False on all ranks but zero, and in a dry run.
        num_ranks: With several, the rows are rank zero's own, and the column says so.
    """

    def __init__(
        self, folder: Path, *, record: NormRecord, groups: Sequence[str], is_writing: bool = True, num_ranks: int = 1
    ) -> None:
        self.folder = folder
        self.record = record
        self.is_writing = is_writing
        self._lost = LostFiles()
        columns = ("step", "total", *groups, "clipped", "learning_rate", "loss")
        self._norms = StepTable(folder / NORMS_FILE, columns)
        # The others' rows would take a collective call, which all ranks would have to agree on at every spike.
        self._ids = "example_ids" if num_ranks == 1 else "example_ids_of_rank_zero"
        self._spikes = StepTable(folder / SPIKES_FILE, ("step", "total", "running_median", self._ids))

    def start(self, *, until_step: int) -> None:
        """Go on from an earlier run's rows up to its checkpoint; with 0, begin anew."""
        if not self.is_writing:
            return
        for row in self._norms.start(until_step=until_step):
            self.record.add(_parsed(row))
        self._spikes.start(until_step=until_step)

    def add(self, steps: Sequence[PendingStep], measured: MeasuredNorms) -> None:
        """Judge and write K steps, in order, with their norms as read from the device."""
        rows, spikes = [], []
        on_device = [entry.loss for entry in steps if entry.loss is not None]
        known = iter(torch.stack(on_device).tolist() if on_device else [])
        for i, entry in enumerate(steps):
            step = NormStep(
                step=entry.step,
                norm=as_written(float(measured.total[i])),
                loss=None if entry.loss is None else as_written(next(known)),
                learning_rate=as_written(entry.learning_rate),
            )
            spike = self.record.add(step)
            rows.append(
                {
                    "step": step.step,
                    "total": step.norm,
                    **{name: float(norms[i]) for name, norms in measured.groups.items()},
                    "clipped": int(self.record.is_clipped(step.norm)),
                    "learning_rate": step.learning_rate,
                    "loss": step.loss,
                }
            )
            if spike:
                ids = json.dumps(list(entry.example_ids), ensure_ascii=False)
                found_at = {"step": step.step, "total": step.norm, "running_median": spike.median}
                spikes.append({**found_at, self._ids: ids})
        if self.is_writing:
            for table, added in ((self._norms, rows), (self._spikes, spikes)):
                with self._lost.go_on(table.path.name):
                    table.append(added)

    def finish(self) -> tuple[dict[str, float], str]:
        """Write the summary, and return it with the line of advice; both are empty without steps."""
        record = self.record
        if not record.steps:
            return {}, ""
        summary, advice, line = summarize(record), advise(record), advice_line(record)
        values = {
            **summary,
            "gradient_clip_val": record.gradient_clip_val,
            "learning_rate": record.learning_rate,
            "num_warmup_steps": record.num_warmup_steps,
            "spike_steps": [spike.step for spike in record.spikes],
            "advice": {"kind": advice.kind, "settings": advice.settings, "reason": advice.reason, "line": line},
        }
        if self.is_writing:
            with self._lost.go_on(NORM_SUMMARY_FILE):
                write_json(self.folder / NORM_SUMMARY_FILE, _without_nan(values))
        return summary, line


def _parsed(row: dict[str, str]) -> NormStep:
    return NormStep(
        step=int(row["step"]),
        norm=float(row["total"]),
        loss=float(row["loss"]) if row["loss"] else None,
        learning_rate=float(row["learning_rate"]) if row["learning_rate"] else None,
    )


def _without_nan(value: Any) -> Any:
    """JSON knows no NaN and no inf: null stands for them."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
