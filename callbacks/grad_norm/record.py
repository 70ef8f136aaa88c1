"""What a run's gradient norms were, step by step, and which of them are spikes.

In: norms as they are read. Out: a record that advice and plots are made of, and `grad_norms.csv`, to which whole rows
are appended: an interrupted run keeps its rows, and a resumed one drops those that came after its checkpoint.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from kosum_pl.files import write_atomically, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class NormStep:
    """One optimizer step.

    Attributes:
        step: Counted from 1.
        norm: Total gradient norm before clipping.
        loss: The step's mean loss; None where it is not known.
        learning_rate: Used by this step; None where it is not known.
    """

    step: int
    norm: float
    loss: float | None = None
    learning_rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spike:
    """A norm that stands out.

    Attributes:
        step: Counted from 1.
        norm: The step's norm; NaN and inf are always spikes.
        median: Of the steps before, NaN where there are none.
    """

    step: int
    norm: float
    median: float


@dataclass(kw_only=True)
class NormRecord:
    """A run's norms, and how they were used.

    Attributes:
        gradient_clip_val: Largest norm that is let through; None where nothing is clipped by norm.
        accumulate_grad_batches: Micro-batches of a step.
        has_loss_scaling: Whether fp16's loss scaling may overflow on purpose, and skip the step.
        spike_factor: A norm above this many medians of the last `window` steps is a spike.
        window: Steps of the running median.
        min_history: Steps that must be known before anything finite is a spike.
        steps: All steps, in order.
        spikes: Those that stood out.

    Example:
        >>> record = NormRecord(gradient_clip_val=1.0)
        >>> spikes = [record.add(NormStep(step=step, norm=9.0 if step == 30 else 1.0)) for step in range(1, 41)]
        >>> record.spikes
        [Spike(step=30, norm=9.0, median=1.0)]
    """

    gradient_clip_val: float | None
    accumulate_grad_batches: int = 1
    has_loss_scaling: bool = False
    spike_factor: float = 3.0
    window: int = 50
    min_history: int = 10
    steps: list[NormStep] = field(default_factory=list)
    spikes: list[Spike] = field(default_factory=list)
    _recent: deque[float] = field(default_factory=deque, repr=False)

    def add(self, step: NormStep) -> Spike | None:
        """Append the next step, and return the spike that it is, or None."""
        self.steps.append(step)
        usual = median(self._recent) if self._recent else math.nan
        is_finite = math.isfinite(step.norm)
        is_high = len(self._recent) >= self.min_history and step.norm > self.spike_factor * usual
        if is_finite:
            self._recent.append(step.norm)
            if len(self._recent) > self.window:
                self._recent.popleft()
        if is_finite and not is_high:
            return None
        self.spikes.append(Spike(step=step.step, norm=step.norm, median=usual))
        return self.spikes[-1]

    def is_clipped(self, norm: float) -> bool:
        """Whether a step of this norm is scaled down."""
        return self.gradient_clip_val is not None and norm > self.gradient_clip_val

    @property
    def learning_rate(self) -> float | None:
        """The highest one used: the peak of the schedule, once it is reached."""
        return max((step.learning_rate for step in self.steps if step.learning_rate is not None), default=None)

    @property
    def num_warmup_steps(self) -> int:
        """Steps before the first one at the highest learning rate."""
        peak = self.learning_rate
        return next((i for i, step in enumerate(self.steps) if step.learning_rate == peak), 0) if peak else 0


class StepTable:
    """A CSV file with a column `step`, appended to by whole lines.

    Args:
        path: The file; its folder is made.
        columns: Names, `step` first.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)

    def start(self, *, until_step: int) -> list[dict[str, str]]:
        """Begin the file anew, with an earlier run's rows up to a step (0: none), and return them.

        A last line that an interruption cut off is dropped.
        """
        kept = [row for row in self._whole_rows() if int(row["step"]) <= until_step] if until_step else []
        lines = [[row.get(column, "") for column in self.columns] for row in kept]
        write_atomically(self.path, _as_csv([self.columns, *lines]))
        return kept

    def append(self, rows: Iterable[Mapping[str, object]]) -> None:
        """Add rows in a single write."""
        text = _as_csv([[_cell(row.get(column)) for column in self.columns] for row in rows])
        if not text:
            return
        size = self.path.stat().st_size
        try:
            with writing(self.path), self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(text)
        except OSError:
            os.truncate(self.path, size)  # what follows later would go on within a row
            raise

    def _whole_rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
        return [row for row in rows if None not in row.values() and (row.get("step") or "").isdecimal()]


def as_written(value: float) -> float:
    """A number as a `StepTable` gives it back: nine digits, enough for fp32, so that a resumed run judges the same.

    Example:
        >>> as_written(1 / 3)
        0.333333333
    """
    return float(f"{value:.9g}")


def _as_csv(lines: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else str(value)
