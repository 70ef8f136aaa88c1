"""The files of a run, read as far as they are there.

In: a run directory, `latest`, or a folder under `eval/`. Out: a frozen `Run`. A run that was interrupted, or that an
older version wrote, lacks files: what is missing is empty here, and what cannot be read is named in a note.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from kosum_pl.errors import UsageError
from kosum_pl.runs.folders import METRICS_FILE
from kosum_pl.types import Prediction

CONFIG_FILE: Final = "config.yaml"
PREDICTIONS_FILE: Final = "predictions.jsonl"
_HASH: Final = re.compile(r"^([0-9a-f]{64}) [ *](.+)$", re.MULTILINE)
_COMMAND: Final = re.compile(r"^started_as=\((.*)\)$", re.MULTILINE)
_Value = TypeVar("_Value")
Line = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a run has left behind; what is not there is empty.

    Attributes:
        folder: Where it lies, without links.
        name: Short and telling: `demo/2026-11-22_19-40-05`.
        metrics: `metrics.json`.
        history: `metrics.jsonl`: a line a validation.
        log: `metrics.csv`: a line each time something was logged, numbers alone.
        predictions: `predictions.jsonl`.
        slices: `slices.csv`, as texts.
        norms: `grad_norms.csv`: a line a step.
        norm_summary: `grad_norms.json`.
        samples: `samples.jsonl`.
        drift: `drift.json`.
        plan: `plan.json`.
        config_text: `config.yaml`.
        config: The same, parsed.
        versions: Package to version, of `constraints.txt`.
        data_hashes: File to SHA-256, of `reproduce.sh`.
        started_as: The command line, of `reproduce.sh`.
        notes: Files that could not be read.
    """

    folder: Path
    name: str
    metrics: Line
    history: tuple[Line, ...]
    log: tuple[Mapping[str, float], ...]
    predictions: tuple[Prediction, ...]
    slices: tuple[Mapping[str, str], ...]
    norms: tuple[Mapping[str, float], ...]
    norm_summary: Line
    samples: tuple[Line, ...]
    drift: Line
    plan: Line
    config_text: str
    config: Line
    versions: Mapping[str, str]
    data_hashes: Mapping[str, str]
    started_as: str
    notes: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Prefix of the scores in `metrics`: `val`, `test`, or `val` for `fit`."""
        stage = str(self.metrics.get("stage", "fit"))
        return stage if stage in ("val", "test", "predict") else "val"

    def scores(self, prefix: str | None = None) -> dict[str, float]:
        """Finite scores by bare name, without those of slices.

        Args:
            prefix: `start` or `lead`; None for the run's own stage.
        """
        prefix = f"{prefix or self.stage}/"
        return {
            name.removeprefix(prefix): float(value)
            for name, value in self.metrics.items()
            if name.startswith(prefix) and "=" not in name and _is_finite(value)
        }


def read_run(path: Path) -> Run:
    """Read a run.

    Args:
        path: A run directory, a link to one, or a folder under its `eval/`.

    Raises:
        ValueError: There is no such folder, or it is no run.
    """
    if not path.is_dir():
        raise UsageError(f"run '{path}' is no folder; give a run directory such as runs/demo/latest")
    folder = path.resolve()
    if not any((folder / name).is_file() for name in (METRICS_FILE, CONFIG_FILE, PREDICTIONS_FILE)):
        raise UsageError(
            f"'{path}' is no run: it has no {METRICS_FILE}, {CONFIG_FILE} or {PREDICTIONS_FILE}; "
            "give a run directory such as runs/demo/latest"
        )
    files = _Files(folder)
    config_text = files.read(CONFIG_FILE, str, default="")
    script = files.read("reproduce.sh", str, default="")
    command = _COMMAND.search(script)
    return Run(
        folder=folder,
        name=_name_of(folder),
        metrics=files.read(METRICS_FILE, _json_object, default={}),
        history=files.read("metrics.jsonl", _json_lines, default=()),
        log=files.read("metrics.csv", _number_lines, default=()),
        predictions=files.read(PREDICTIONS_FILE, _predictions, default=()),
        slices=files.read("slices.csv", _text_lines, default=()),
        norms=files.read("grad_norms.csv", _number_lines, default=()),
        norm_summary=files.read("grad_norms.json", _json_object, default={}),
        samples=files.read("samples.jsonl", _json_lines, default=()),
        drift=files.read("drift.json", _json_object, default={}),
        plan=files.read("plan.json", _json_object, default={}),
        config_text=config_text,
        config=files.read(CONFIG_FILE, _yaml_object, default={}),
        versions=files.read("constraints.txt", _versions, default={}),
        data_hashes={name: digest for digest, name in _HASH.findall(script)},
        started_as=command.group(1) if command else "",
        notes=tuple(files.notes),
    )


class _Files:
    """A folder's files, each read by its own rule; one that breaks its rule leaves a note."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []

    def read(self, name: str, parse: Callable[[str], _Value], *, default: _Value) -> _Value:
        """A file's content, or the default and a note where it cannot be used."""
        path = self.folder / name
        if not path.is_file():
            return default
        try:
            return parse(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error, yaml.YAMLError) as error:
            self.notes.append(f"{name} could not be read: {type(error).__name__}")
            return default


def _name_of(folder: Path) -> str:
    """The last parts of a path that tell runs apart: an evaluation is named with its run."""
    num_parts = 4 if folder.parent.name == "eval" else 2
    return "/".join(folder.parts[-num_parts:]).lstrip("/")


def _json_object(text: str) -> Line:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _json_lines(text: str) -> tuple[Line, ...]:
    # Not splitlines: U+2028 stands unescaped inside JSON texts.
    return tuple(_json_object(line) for line in text.split("\n") if line.strip())


def _yaml_object(text: str) -> Line:
    value = yaml.safe_load(text)
    if not isinstance(value, dict):
        raise ValueError("no mapping")
    return value


def _text_lines(text: str) -> tuple[Mapping[str, str], ...]:
    return tuple(csv.DictReader(text.splitlines()))


def _number_lines(text: str) -> tuple[Mapping[str, float], ...]:
    """Lines of a CSV file, of each the cells that hold a finite number."""
    lines = []
    for row in _text_lines(text):
        cells = {name: _number(value) for name, value in row.items()}
        lines.append({name: value for name, value in cells.items() if value is not None})
    return tuple(lines)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _predictions(text: str) -> tuple[Prediction, ...]:
    known = {field.name for field in fields(Prediction)}
    found = []
    for line in _json_lines(text):
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in line.items()
        }
        kept: Any = {name: value for name, value in values.items() if name in known}
        found.append(Prediction(**kept))
    return tuple(found)


def _versions(text: str) -> Mapping[str, str]:
    pairs = (line.partition("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    return {name.strip(): version.strip() for name, _, version in pairs}


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
