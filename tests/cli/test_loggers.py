"""The default loggers of a run, and what a resume leaves of their files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger

from kosum_pl.cli.loggers import RunCSVLogger, run_loggers
from kosum_pl.errors import UsageError


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


def test_a_half_written_line_of_a_killed_run_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss\n0,2,1.5\n0,4,1.", encoding="utf-8")
    logger = RunCSVLogger(save_dir=str(tmp_path), name="", version="")
    logger.log_metrics({"epoch": 0, "train/loss": 1.0}, step=4)
    logger.save()
    assert path.read_text(encoding="utf-8").splitlines() == ["epoch,step,train/loss", "0,2,1.5", "0,4,1.0"]
    assert "1 lines of the log were half written, and are left out" in capsys.readouterr().out


def test_a_log_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("<html>\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"metrics\.csv: its first line names no column 'step'"):
        _ = RunCSVLogger(save_dir=str(tmp_path), name="", version="").experiment
