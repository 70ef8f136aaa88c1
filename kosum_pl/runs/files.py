"""Every file that a run directory may hold: its name, and how it is read.

In: a file of a run. Out: plain values, or an error that says that it cannot be read. Only the standard library and yaml
are imported.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from kosum_pl.files import read_json, read_json_lines, read_yaml
from kosum_pl.types import Prediction

# How it was made.
RECORD_FILE: Final = "run.json"
SCRIPT_FILE: Final = "reproduce.sh"
CONSTRAINTS_FILE: Final = "constraints.txt"
CONFIG_FILE: Final = "config.yaml"
CHECKPOINT_FOLDER: Final = "checkpoints"
CRASH_FILE: Final = "crash.txt"
LAST_CHECKPOINT: Final = "last.ckpt"
EVALUATION_FOLDER: Final = "eval"
LATEST: Final = "latest"
LOCK_FILE: Final = "fit.lock"
"""There as long as `fit` trains: host and number of its process."""
CONFIG_KEY: Final = "kosum_pl_config"
"""Under which a checkpoint holds the run's config."""
NO_TEXT_KEY: Final = "no_text"
"""In `metrics.json` where `--no_text` left dialogues and references out."""
# Scores and predictions.
METRICS_FILE: Final = "metrics.json"
HISTORY_FILE: Final = "metrics.jsonl"
LOG_FILE: Final = "metrics.csv"
SUBMISSION_FILE: Final = "predictions.csv"
PREDICTIONS_FILE: Final = "predictions.jsonl"
REJECTED_FILE: Final = "rejected.jsonl"
SLICES_FILE: Final = "slices.csv"
# For readers.
REPORT_FILE: Final = "report.html"
MARKDOWN_FILE: Final = "report.md"
DRIFT_FILE: Final = "drift.json"
PLAN_FILE: Final = "plan.json"
# Of the callbacks.
NORMS_FILE: Final = "grad_norms.csv"
NORM_SUMMARY_FILE: Final = "grad_norms.json"
NORM_PLOT_FILE: Final = "grad_norms.png"
SPIKES_FILE: Final = "grad_spikes.csv"
SAMPLES_FILE: Final = "samples.jsonl"

Line = Mapping[str, Any]
Numbers = Mapping[str, float]


def read_text(path: Path) -> str:
    """A file as it is written."""
    return path.read_text(encoding="utf-8")


def read_object(path: Path) -> Line:
    """A JSON object or a YAML mapping.

    Raises:
        ValueError: The file holds something else.
    """
    values = read_json(path) if path.suffix == ".json" else read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError("no mapping")
    return values


def read_lines(path: Path) -> tuple[Line, ...]:
    """Objects of a JSON Lines file."""
    return tuple(read_json_lines(path))


def read_steps(path: Path, *, until_step: int) -> list[dict[str, Any]]:
    """Objects of a JSON Lines file with a `step`, up to one; none where there is no file.

    Raises:
        ValueError: A line is no object, or has no such number; the message names file, line and what to do.
    """
    rows = read_json_lines(path)
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get("step"), int):
            raise ValueError(f"{path}: object {number} has no whole number under 'step'; mend it, or take it out")
    return [row for row in rows if row["step"] <= until_step]


def read_table(path: Path) -> tuple[Mapping[str, str], ...]:
    """Lines of a CSV file by column."""
    return tuple(csv.DictReader(read_text(path).splitlines()))


def read_numbers(path: Path) -> tuple[Numbers, ...]:
    """Lines of a CSV file, of each the cells that hold a finite number."""
    numbers = ({name: _float_or_nan(value) for name, value in row.items()} for row in read_table(path))
    return tuple({name: value for name, value in row.items() if math.isfinite(value)} for row in numbers)


def read_predictions(path: Path) -> tuple[Prediction, ...]:
    """Predictions as `write_predictions` has written them; fields of another version are left out."""
    known = {field.name for field in fields(Prediction)}
    found = []
    for line in read_json_lines(path):
        values: Any = {
            name: tuple(value) if isinstance(value, list) else value for name, value in line.items() if name in known
        }
        found.append(Prediction(**values))
    return tuple(found)


def _float_or_nan(text: str | None) -> float:
    try:
        return float(text or "nan")
    except (TypeError, ValueError):
        return math.nan
