"""The validations of one fit, and which of them is the best.

In: scores of each validation, as they come. Out: a line for each, and the best one's scores. Pure values, so that a
checkpoint can carry them and a resumed fit goes on comparing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """What validations are compared by.

    Example:
        >>> Criterion().rank({"val/rouge_sum": 80.0}) > Criterion().rank({"val/loss": 0.1})
        True
    """

    monitor: str = "val/rouge_sum"
    is_lower_better: bool = False

    def rank(self, scores: Mapping[str, float]) -> tuple[bool, float]:
        """Sort key: who has the metric stands above who has only a loss, and NaN is never good."""
        if self.monitor in scores:
            value = -scores[self.monitor] if self.is_lower_better else scores[self.monitor]
        else:
            value = -scores.get("val/loss", math.inf)
        return self.monitor in scores, -math.inf if math.isnan(value) else value


@dataclass(kw_only=True)
class ValidationHistory:
    """Every validation, and the best; of equal ones the earliest.

    Attributes:
        lines: One mapping a validation: `step`, `epoch` and the scores by their full names.
        best_record: What stands beside them: preset, tokenizer, step, epoch.
    """

    lines: list[dict[str, Any]] = field(default_factory=list)
    best_scores: dict[str, float] = field(default_factory=dict)
    best_record: dict[str, Any] = field(default_factory=dict)

    def add(
        self, scores: Mapping[str, float], *, step: int, epoch: int, record: Mapping[str, Any], criterion: Criterion
    ) -> bool:
        """Note a validation, and return whether it is the best; a second one of a step adds what the first lacks."""
        line = next((line for line in self.lines if line["step"] == step), None)
        if line is None:
            line = {"step": step, "epoch": epoch}
            self.lines.append(line)
        line |= {**scores, **line}
        known = {name: value for name, value in line.items() if name not in ("step", "epoch")}
        if self.best_scores and criterion.rank(known) <= criterion.rank(self.best_scores):
            return False
        self.best_scores = known
        self.best_record = {**record, "best_step": step, "best_epoch": line["epoch"]}
        return True

    def take_lines(self, lines: list[dict[str, Any]], *, until_step: int) -> None:
        """Go on from an earlier run's lines; what came after the checkpoint has not happened."""
        self.lines = [line for line in lines if line["step"] <= until_step]

    def state_dict(self) -> dict[str, Any]:
        """The best validation, as plain values; the lines are in the run's file."""
        return {"best_scores": dict(self.best_scores), "best_record": dict(self.best_record)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on comparing with the best validation before a checkpoint."""
        self.best_scores = dict(state_dict["best_scores"])
        self.best_record = dict(state_dict["best_record"])
