"""What a run logs to.

In: `trainer.logger` of a config. Out: what a Trainer takes. It stands apart so that the command line is about commands.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from kosum_pl.errors import UsageError
from kosum_pl.files import open_atomically, write_atomically, writing
from kosum_pl.runs.files import LOG_FILE
from kosum_pl.runs.lost_files import LostFiles
from kosum_pl.terminal import say


def run_loggers(configured: Any, output_dir: Path) -> Any:
    """The configured loggers; by default TensorBoard events and a CSV, directly in the run directory."""
    if configured not in (None, True):
        return configured
    return [
        RunTensorBoardLogger(save_dir=str(output_dir), name="", version=""),
        RunCSVLogger(save_dir=str(output_dir), name="", version=""),
    ]


class RunTensorBoardLogger(TensorBoardLogger):
    """Lightning's own, which does not end a run where its file cannot be written."""

    _lost: LostFiles | None = None

    def _go_on(self) -> AbstractContextManager[None]:
        self._lost = self._lost or LostFiles()
        return self._lost.go_on("TensorBoard's events")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        with self._go_on():
            try:
                super().log_metrics(metrics, step)
            except ValueError as error:  # it takes any error for one of the number that is logged
                if isinstance(error.__cause__, OSError):
                    raise error.__cause__ from None
                raise

    def save(self) -> None:
        """Write what was logged."""
        with self._go_on():
            super().save()

    def finalize(self, status: str) -> None:
        """Write the rest, and close the file."""
        with self._go_on():
            super().finalize(status)


class RunCSVLogger(CSVLogger):
    """Lightning's own, which goes on with the `metrics.csv` of a resumed run instead of deleting it.

    Steps that were logged after the checkpoint stand twice in the file; the later line is the one that counts. Where
    the file cannot be written the run goes on, and the lines wait for the next time.
    """

    _lost: LostFiles | None = None

    @property
    def experiment(self) -> Any:
        """The writer; made at the first use."""
        path = Path(self.log_dir) / LOG_FILE
        is_first = self._experiment is None and path.is_file()
        kept = _whole_lines(path) if is_first else ""
        writer = super().experiment
        if kept and self._experiment is not None:  # other ranks than the first get one that writes nothing
            write_atomically(path, kept)
            self._experiment.metrics_keys = next(csv.reader(kept.splitlines()))
        return writer

    def save(self) -> None:
        """Write what was logged; the file keeps its header and ends with a whole line, whatever there is room for."""
        path = Path(self.log_dir) / LOG_FILE
        self._lost = self._lost or LostFiles()
        with self._lost.go_on(LOG_FILE):
            if self._experiment is not None and self._experiment.metrics:
                _take_new_columns(path, self._experiment)
            size = path.stat().st_size if path.is_file() else 0
            try:
                with writing(path):
                    super().save()
            except OSError:
                if path.is_file():
                    os.truncate(path, size)
                raise


def _take_new_columns(path: Path, writer: Any) -> None:
    """Write the log with columns of what waits in its writer, where it lacks some; Lightning would empty it first."""
    columns = sorted({*writer.metrics_keys}.union(*writer.metrics))
    if columns == writer.metrics_keys and path.is_file():
        return
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines())) if path.is_file() else []
    with open_atomically(path) as file:
        table = csv.DictWriter(file, fieldnames=columns)
        table.writeheader()
        table.writerows(rows)
    writer.metrics_keys = columns


def _whole_lines(path: Path) -> str:
    """The log of a killed run without a line that was half written, which is said.

    Raises:
        UsageError: It is no log.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    rows = list(csv.reader(lines))
    if lines and "step" not in rows[0]:
        raise UsageError(f"{path}: its first line names no column 'step', so that it is no log; move it away")
    whole = [line for line, row in zip(lines, rows, strict=True) if len(row) == len(rows[0]) and line.endswith("\n")]
    if len(whole) < len(lines):
        say(f"{path}: {len(lines) - len(whole)} lines of the log were half written, and are left out")
    return "".join(whole)
