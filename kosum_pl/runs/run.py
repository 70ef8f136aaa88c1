"""A run as it lies on the disk.

In: a run directory, `latest`, or a folder under `eval/`. Out: a `Run`, whose files are read when they are asked for. A
run that was interrupted, or that an older version wrote, lacks files: what is missing is empty here, and what cannot be
read is named in a note. Only the standard library and yaml are imported.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from kosum_pl.errors import UsageError
from kosum_pl.runs import files
from kosum_pl.runs.files import CHECKPOINT_FOLDER, CONFIG_FILE, METRICS_FILE, PREDICTIONS_FILE, Line, Numbers
from kosum_pl.runs.paths import named_checkpoint
from kosum_pl.runs.record import RunRecord, read_pins, read_record, read_script
from kosum_pl.types import Prediction, is_finite_number

_Value = TypeVar("_Value")


class _File(Generic[_Value]):
    """A file of a run as an attribute, read at the first look; the default where it is missing or cannot be read."""

    def __init__(self, name: str, read: Callable[[Path], _Value], default: _Value) -> None:
        self.name, self.read, self.default = name, read, default

    def __get__(self, run: Run, owner: type[Run]) -> _Value:
        if self not in run.contents:
            run.contents[self] = self._content(run)
        content: _Value = run.contents[self]
        return content

    def _content(self, run: Run) -> _Value:
        path = run.folder / self.name
        if not path.is_file():
            return self.default
        try:
            return self.read(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, csv.Error) as error:
            run.failures[self.name] = type(error).__name__
            return self.default


class Run:
    """A run directory, or one evaluation of it; what is not there is empty.

    Attributes:
        failures: Names of files that could not be read, and why.
    """

    config = _File[Line](CONFIG_FILE, files.read_object, {})
    config_text = _File[str](CONFIG_FILE, files.read_text, "")
    metrics = _File[Line](METRICS_FILE, files.read_object, {})
    history = _File[tuple[Line, ...]](files.HISTORY_FILE, files.read_lines, ())
    log = _File[tuple[Numbers, ...]](files.LOG_FILE, files.read_numbers, ())
    predictions = _File[tuple[Prediction, ...]](PREDICTIONS_FILE, files.read_predictions, ())
    slices = _File[tuple[Mapping[str, str], ...]](files.SLICES_FILE, files.read_table, ())
    norms = _File[tuple[Numbers, ...]](files.NORMS_FILE, files.read_numbers, ())
    norm_summary = _File[Line](files.NORM_SUMMARY_FILE, files.read_object, {})
    samples = _File[tuple[Line, ...]](files.SAMPLES_FILE, files.read_lines, ())
    drift = _File[Line](files.DRIFT_FILE, files.read_object, {})
    plan = _File[Line](files.PLAN_FILE, files.read_object, {})
    _record = _File[RunRecord | None](files.RECORD_FILE, read_record, None)
    # What stands in run.json since there is one.
    _script = _File[RunRecord](files.SCRIPT_FILE, read_script, RunRecord())
    _pins = _File[Mapping[str, str]](files.CONSTRAINTS_FILE, read_pins, {})

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents: dict[_File[Any], Any] = {}
        self.failures: dict[str, str] = {}

    def mapped(self, change: Callable[[Any], Any]) -> Run:
        """The same run with what each of its files holds, and its own name, passed through a function."""
        other = Run(Path(change(str(self.folder))))
        for file in vars(type(self)).values():
            if isinstance(file, _File):
                other.contents[file] = change(file.__get__(self, type(self)))
        other.failures = dict(self.failures)
        return other

    @property
    def notes(self) -> tuple[str, ...]:
        """Files that could not be read, of all that are there."""
        for name, value in vars(type(self)).items():
            if isinstance(value, _File):
                getattr(self, name)
        return tuple(f"{name} could not be read: {reason}" for name, reason in self.failures.items())

    @property
    def name(self) -> str:
        """The last parts of the path that tell runs apart: an evaluation is named with its run."""
        num_parts = 4 if self.folder.parent.name == files.EVALUATION_FOLDER else 2
        return "/".join(self.folder.parts[-num_parts:]).lstrip("/")

    # How it was made.

    @property
    def record_failure(self) -> str:
        """Why `run.json` cannot be read; empty where it can, or where there is none."""
        _ = self._record
        return self.failures.get(files.RECORD_FILE, "")

    @property
    def record(self) -> RunRecord:
        """`run.json`; of a run that has none, what its script says."""
        return self._record or self._script

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
    def versions(self) -> Mapping[str, str]:
        """Package to version."""
        return self.record.versions or self._pins

    @property
    def config_hash(self) -> str:
        """Of the config, in hex; empty where nothing says it."""
        return self.record.config_hash or str(self.metrics.get("config_hash") or "")

    @property
    def lineage(self) -> Any:
        """Earlier runs whose weights this one goes on with, as it was written down; not checked."""
        return self.record.lineage or self.config.get("lineage")

    @property
    def checkpoint(self) -> Path | None:
        """The best checkpoint, else the last; of an evaluation the evaluated one. None where there is no such file."""
        last = self.folder / CHECKPOINT_FOLDER / files.LAST_CHECKPOINT
        found = (path for path in (self.best_checkpoint, last) if path is not None and path.exists())
        return next((path.resolve() for path in found), None)

    @property
    def best_checkpoint(self) -> Path | None:
        """What `metrics.json` calls the best, wherever the run lies by now; None without."""
        best = self.metrics.get("best_checkpoint")
        return named_checkpoint(best, folder=self.folder) if isinstance(best, str) and best else None

    # What it scored.

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
            if name.startswith(prefix) and "=" not in name and is_finite_number(value)
        }


def open_run(path: Path) -> Run:
    """A run by its folder, by a link to that, or by a folder under its `eval/`.

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
