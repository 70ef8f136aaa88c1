"""What a run logs to.

In: `trainer.logger` of a config. Out: what a Trainer takes. It stands apart so that the command line is about commands.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from kosum_pl.files import write_atomically
from kosum_pl.runs.files import LOG_FILE


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
        kept = path.read_text(encoding="utf-8") if is_first else ""
        writer = super().experiment
        if kept and self._experiment is not None:  # other ranks than the first get one that writes nothing
            write_atomically(path, kept)
            self._experiment.metrics_keys = next(csv.reader(kept.splitlines()))
        return writer
