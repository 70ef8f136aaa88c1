"""The scores that a gate judges: a run's `metrics.json`.

In: a run directory, a folder under its `eval/`, or the file itself. Out: `Scores` by full names, or a `ValueError` of
one line. Only the standard library is imported.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kosum_pl.errors import UsageError
from kosum_pl.files import read_json
from kosum_pl.runs.files import LATEST, METRICS_FILE, RECORD_FILE
from kosum_pl.runs.run import Run
from kosum_pl.types import is_finite_number


class Unjudged(Exception):
    """A rule cannot be judged; the message says why."""


class Scores:
    """What a `metrics.json` holds, by full names."""

    def __init__(self, values: Mapping[str, Any], *, source: str, state: str = "") -> None:
        self.source = source
        self.is_unfinished = state not in ("", "done")
        self.state = state
        self._values = {_normal(name): value for name, value in values.items()}

    def record(self, name: str) -> Any:
        """What stands under a name, of any kind; None without."""
        return self._values.get(name)

    def score(self, name: str) -> float:
        """A score; `Unjudged` where it is missing or no finite number."""
        name = _normal(name)
        if name not in self._values:
            nearest = difflib.get_close_matches(name, self._values, n=1)
            raise Unjudged(f"{name} is not in {self.source}{f'; nearest: {nearest[0]}' if nearest else ''}")
        value = self._values[name]
        if not is_finite_number(value):
            shown = "not a number" if isinstance(value, float) and math.isnan(value) else repr(value)
            raise Unjudged(f"{name} is {shown} in {self.source}")
        return float(value)

    def slice_values(self, column: str, *, stage: str) -> list[str]:
        """Values of a column that has slices, sorted.

        `stage` is what the scores' names begin with, such as `val/`.
        """
        mark = f"/{_normal(column)}="
        found = {name.partition(mark)[2] for name in self._values if name.startswith(stage) and mark in name}
        return sorted(found, key=lambda value: (len(value), value))


def read_scores(run: Path, *, option: str) -> Scores:
    """Read what a run has scored.

    A run is a directory such as `runs/demo/latest`, a folder under its `eval/`, or a `metrics.json`; `option` names it
    in messages, as `run` or `baseline`.

    Raises:
        ValueError: There is no such run, or it has no scores.
    """
    path = run / METRICS_FILE if run.is_dir() else run
    if not path.is_file():
        if not run.exists():
            raise UsageError(f"{option} '{run}' does not exist; give a run directory such as runs/demo/{LATEST}")
        guess = f"; did you mean {run / LATEST}?" if (run / LATEST).is_dir() else "; validate writes one under eval/"
        raise UsageError(f"{option} '{run}' has no {METRICS_FILE}{guess}")
    try:
        values = read_json(path)
    except OSError as error:
        raise UsageError(f"{option} {path} cannot be read: {error.strerror}; check its permissions") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{option} {path} is no {METRICS_FILE}: {error}; give a run directory") from error
    if not isinstance(values, dict):
        raise UsageError(f"{option} {path} is no {METRICS_FILE}: it holds no mapping; give a run directory")
    beside = Run(path.parent)
    state = str(beside.record.state)
    return Scores(values, source=str(path), state=f"{RECORD_FILE} cannot be read" if beside.failures else state)


def _normal(name: str) -> str:
    """One of the ways in which Korean text can be written down."""
    return unicodedata.normalize("NFC", name)
