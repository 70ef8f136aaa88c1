"""The default loggers of a run, and what a resume leaves of their files."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter as _ExperimentWriter

from kosum_pl.cli.loggers import RunCSVLogger, run_loggers
from kosum_pl.errors import UsageError
from tests.full_disk import fill_disk


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


def test_a_csv_that_cannot_be_written_waits_and_never_ends_within_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = csv_logger(tmp_path)
    logger.log_metrics({"a": 1.0}, step=1)
    logger.save()

    def half(writer: Any) -> None:
        with (tmp_path / "metrics.csv").open("a") as file:
            file.write("2.0,")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_ExperimentWriter, "save", half)
        for step in (2, 3):
            logger.log_metrics({"a": float(step)}, step=step)
            logger.save()
    assert [row["step"] for row in rows(tmp_path)] == ["1"]
    said = capsys.readouterr().err
    assert said.count(f"metrics.csv could not be written: {tmp_path / 'metrics.csv'}: No space left on device; ") == 1
    logger.log_metrics({"a": 4.0}, step=4)
    logger.save()
    assert [row["step"] for row in rows(tmp_path)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("num_before", [0, 2])
def test_a_csv_that_gets_new_columns_is_never_emptied_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num_before: int
) -> None:
    logger = csv_logger(tmp_path)
    for step in range(num_before):
        logger.log_metrics({"a": 1.0}, step=step)
        logger.save()
    before = rows(tmp_path) if num_before else []
    with monkeypatch.context() as patch:
        fill_disk(patch, lambda name: True)
        logger.log_metrics({"a": 2.0, "b": 3.0}, step=2)
        logger.save()
    assert (rows(tmp_path) if num_before else []) == before
    logger.log_metrics({"b": 4.0}, step=3)
    logger.save()
    values = [(row["step"], row["a"], row["b"]) for row in rows(tmp_path)]
    assert values[:num_before] == [("0", "1.0", ""), ("1", "1.0", "")][:num_before]
    assert values[num_before:] == [("2", "2.0", "3.0"), ("3", "", "4.0")]


def test_events_that_cannot_be_written_end_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (logger,) = (logger for logger in run_loggers(None, tmp_path) if isinstance(logger, TensorBoardLogger))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logger.experiment, "add_scalar", full)
    monkeypatch.setattr(logger.experiment, "flush", full)
    logger.log_metrics({"a": 1.0}, step=1)
    logger.save()
    logger.finalize("success")
    assert capsys.readouterr().err.count("warning: TensorBoard's events could not be written: [Errno 28] No space") == 1
    monkeypatch.setattr(logger.experiment, "add_scalar", lambda *_, **__: 1 / 0)
    with pytest.raises(ValueError, match="not supported"):
        logger.log_metrics({"a": 1.0}, step=1)
