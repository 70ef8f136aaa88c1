"""The default loggers of a run, and what a resume leaves of their files."""

from __future__ import annotations

import csv
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger

from kosum_pl.cli.loggers import run_loggers


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def csv_logger(folder: Path) -> CSVLogger:
    (logger,) = (logger for logger in run_loggers(None, folder) if isinstance(logger, CSVLogger))
    return logger


def test_what_is_configured_is_left_alone(tmp_path: Path) -> None:
    own = CSVLogger(str(tmp_path))
    assert run_loggers(own, tmp_path) is own
    assert run_loggers(False, tmp_path) is False


def test_a_resumed_run_goes_on_with_its_csv(tmp_path: Path) -> None:
    first = csv_logger(tmp_path)
    first.log_metrics({"a": 1.0}, step=1)
    first.log_metrics({"a": 2.0}, step=2)
    first.save()
    second = csv_logger(tmp_path)
    second.log_metrics({"a": 3.0}, step=3)
    second.save()
    second.log_metrics({"b": 4.0}, step=4)
    second.save()
    assert rows(tmp_path) == [
        {"a": "1.0", "b": "", "step": "1"},
        {"a": "2.0", "b": "", "step": "2"},
        {"a": "3.0", "b": "", "step": "3"},
        {"a": "", "b": "4.0", "step": "4"},
    ]
