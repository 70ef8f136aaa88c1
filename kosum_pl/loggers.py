"""What a run logs to.

In: `trainer.logger` of a config. Out: what a Trainer takes. It stands apart so that the command line is about commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger


def run_loggers(configured: Any, output_dir: Path) -> Any:
    """The configured loggers; by default TensorBoard events and a CSV, directly in the run directory.

    Args:
        configured: None or True for the default.
        output_dir: Where the command writes.
    """
    if configured not in (None, True):
        return configured
    return [
        TensorBoardLogger(save_dir=str(output_dir), name="", version=""),
        CSVLogger(save_dir=str(output_dir), name="", version=""),
    ]
