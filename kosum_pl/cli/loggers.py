"""What a run logs to.

In: `trainer.logger` of a config. Out: what a Trainer takes. It stands apart so that the command line is about commands.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from kosum_pl.errors import UsageError
from kosum_pl.files import write_atomically
from kosum_pl.runs.files import LOG_FILE
from kosum_pl.terminal import say


def run_loggers(configured: Any, output_dir: Path) -> Any:
    """The configured loggers; by default TensorBoard events and a CSV, directly in the run directory."""
    if configured not in (None, True):
        return configured
    return [
        TensorBoardLogger(save_dir=str(output_dir), name="", version=""),
        RunCSVLogger(save_dir=str(output_dir), name="", version=""),
    ]


class RunCSVLogger(CSVLogger):
    """Lightning's own, which goes on with the `metrics.csv` of a resumed run instead of deleting it.

    Steps that were logged after the checkpoint stand twice in the file; the later line is the one that counts.
    """

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
