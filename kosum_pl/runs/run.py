"""A run as it lies on the disk.

In: a run directory, `latest`, or a folder under `eval/`. Out: a `Run`, whose files are read when they are asked for. A
run that was interrupted, or that an older version wrote, lacks files: what is missing is empty here, and what cannot be
read is named in a note. Only the standard library and yaml are imported.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from kosum_pl.errors import UsageError
from kosum_pl.files import parse_json_lines
from kosum_pl.runs.files import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    CONSTRAINTS_FILE,
    DRIFT_FILE,
    EVALUATION_FOLDER,
    HISTORY_FILE,
    LAST_CHECKPOINT,
    LOG_FILE,
    METRICS_FILE,
    NORM_SUMMARY_FILE,
    NORMS_FILE,
    PLAN_FILE,
    PREDICTIONS_FILE,
    RECORD_FILE,
    SAMPLES_FILE,
    SLICES_FILE,
    Line,
    parse_numbers,
    parse_predictions,
    parse_table,
    read_object,
)
from kosum_pl.runs.record import RunRecord, parse_pins, read_record
from kosum_pl.types import Prediction

_Value = TypeVar("_Value")


class Run:
    """A run directory, or one evaluation of it; what is not there is empty.

    Args:
        folder: Where it lies, without links.

    Attributes:
        folder: The same.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._notes: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The last parts of the path that tell runs apart: an evaluation is named with its run."""
        num_parts = 4 if self.folder.parent.name == EVALUATION_FOLDER else 2
        return "/".join(self.folder.parts[-num_parts:]).lstrip("/")

    # How it was made.

    @cached_property
    def record(self) -> RunRecord:
        """`run.json`; of a run that has none, what its other files say."""
        try:
            return read_record(self.folder)
        except (OSError, ValueError) as error:
            self._notes[RECORD_FILE] = type(error).__name__
            return RunRecord()

    @cached_property
    def config_text(self) -> str:
        """`config.yaml` as it is written."""
        return self._text(CONFIG_FILE, str, default="")

    @cached_property
    def config(self) -> Line:
        """`config.yaml`."""
        return self._mapping(CONFIG_FILE)

    @property
    def data(self) -> Line:
        """`data` of the config."""
        data = self.config.get("data")
        return data if isinstance(data, dict) else {}

    @property
    def overlays(self) -> tuple[str, ...]:
        """The configs that were named on the command line, as typed, the base first."""
        return self.record.configs

    @property
    def started_as(self) -> str:
        """The command line; empty where it is not known."""
        return self.record.started_as

    @property
    def data_hashes(self) -> Mapping[str, str]:
        """File to SHA-256."""
        return self.record.file_hashes

    @property
    def lineage(self) -> Any:
        """Earlier runs whose weights this one goes on with, as it was written down; not checked."""
        return self.record.lineage or self.config.get("lineage")

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """Package to version."""
        return self.record.versions or self._text(CONSTRAINTS_FILE, parse_pins, default={})

    @property
    def checkpoint(self) -> Path | None:
        """The best checkpoint, else the last; of an evaluation the evaluated one. None where there is no such file."""
        last = self.folder / CHECKPOINT_FOLDER / LAST_CHECKPOINT
        found = (path for path in (self.best_checkpoint, last) if path is not None and path.exists())
        return next((path.resolve() for path in found), None)

    @property
    def best_checkpoint(self) -> Path | None:
        """What `metrics.json` calls the best, also where the run was moved since; None without."""
        best = self.metrics.get("best_checkpoint")
        if not isinstance(best, str) or not best:
            return None
        moved = self.folder / CHECKPOINT_FOLDER / Path(best).name
        return moved if moved.exists() else Path(best)

    # What it scored.

    @cached_property
    def metrics(self) -> Line:
        """`metrics.json`."""
        return self._mapping(METRICS_FILE)

    @property
    def config_hash(self) -> str:
        """Of the config, as hex; empty where nothing says it."""
        return self.record.config_hash or str(self.metrics.get("config_hash") or "")

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

    @cached_property
    def history(self) -> tuple[Line, ...]:
        """`metrics.jsonl`: a line a validation."""
        return self._lines(HISTORY_FILE)

    @cached_property
    def log(self) -> tuple[Mapping[str, float], ...]:
        """`metrics.csv`: a line each time something was logged, numbers alone."""
        return self._text(LOG_FILE, parse_numbers, default=())

    @cached_property
    def predictions(self) -> tuple[Prediction, ...]:
        """`predictions.jsonl`."""
        return self._text(PREDICTIONS_FILE, parse_predictions, default=())

    @cached_property
    def slices(self) -> tuple[Mapping[str, str], ...]:
        """`slices.csv`, as texts."""
        return self._text(SLICES_FILE, parse_table, default=())

    # What else was kept.

    @cached_property
    def norms(self) -> tuple[Mapping[str, float], ...]:
        """`grad_norms.csv`: a line a step."""
        return self._text(NORMS_FILE, parse_numbers, default=())

    @cached_property
    def norm_summary(self) -> Line:
        """`grad_norms.json`."""
        return self._mapping(NORM_SUMMARY_FILE)

    @cached_property
    def samples(self) -> tuple[Line, ...]:
        """`samples.jsonl`."""
        return self._lines(SAMPLES_FILE)

    @cached_property
    def drift(self) -> Line:
        """`drift.json`."""
        return self._mapping(DRIFT_FILE)

    @cached_property
    def plan(self) -> Line:
        """`plan.json`."""
        return self._mapping(PLAN_FILE)

    @property
    def notes(self) -> tuple[str, ...]:
        """Files that could not be read, of all that are there."""
        for name, value in vars(type(self)).items():
            if isinstance(value, cached_property):
                getattr(self, name)
        return tuple(f"{name} could not be read: {reason}" for name, reason in self._notes.items())

    def _read(self, name: str, read: Callable[[Path], _Value], *, default: _Value) -> _Value:
        """A file's content, or the default, and a note where it is there and cannot be used."""
        path = self.folder / name
        if not path.is_file():
            return default
        try:
            return read(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error) as error:
            self._notes[name] = type(error).__name__
            return default

    def _text(self, name: str, parse: Callable[[str], _Value], *, default: _Value) -> _Value:
        return self._read(name, lambda path: parse(path.read_text(encoding="utf-8")), default=default)

    def _mapping(self, name: str) -> Line:
        return self._read(name, read_object, default={})

    def _lines(self, name: str) -> tuple[Line, ...]:
        return self._text(name, lambda text: tuple(parse_json_lines(text)), default=())


def open_run(path: Path) -> Run:
    """A run by its folder.

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
    return Run(folder)


def _is_finite(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
