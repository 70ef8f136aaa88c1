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

from kosum_pl.files import parse_json_lines, read_json, read_yaml
from kosum_pl.types import Prediction

# How it was made.
RECORD_FILE: Final = "run.json"
SCRIPT_FILE: Final = "reproduce.sh"
CONSTRAINTS_FILE: Final = "constraints.txt"
CONFIG_FILE: Final = "config.yaml"
CHECKPOINT_FOLDER: Final = "checkpoints"
LAST_CHECKPOINT: Final = "last.ckpt"
EVALUATION_FOLDER: Final = "eval"
LATEST: Final = "latest"
CONFIG_KEY: Final = "kosum_pl_config"
"""Under which a checkpoint holds the run's config."""
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


def read_object(path: Path) -> Line:
    """A JSON object or a YAML mapping.

    Raises:
        ValueError: The file holds something else.
    """
    values = read_json(path) if path.suffix == ".json" else read_yaml(path)
    if not isinstance(values, dict):
        raise ValueError("no mapping")
    return values


def parse_table(text: str) -> tuple[Mapping[str, str], ...]:
    """Lines of a CSV file by column."""
    return tuple(csv.DictReader(text.splitlines()))


def parse_numbers(text: str) -> tuple[Mapping[str, float], ...]:
    """Lines of a CSV file, of each the cells that hold a finite number."""
    lines = []
    for row in parse_table(text):
        cells = {name: _number(value) for name, value in row.items()}
        lines.append({name: value for name, value in cells.items() if value is not None})
    return tuple(lines)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def parse_predictions(text: str) -> tuple[Prediction, ...]:
    """Predictions as `write_predictions` has written them; fields of another version are left out."""
    known = {field.name for field in fields(Prediction)}
    found = []
    for line in parse_json_lines(text):
        values: Any = {
            name: tuple(value) if isinstance(value, list) else value for name, value in line.items() if name in known
        }
        found.append(Prediction(**values))
    return tuple(found)
