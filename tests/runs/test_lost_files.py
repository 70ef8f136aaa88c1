from __future__ import annotations

import errno

import pytest

from kosum_pl.runs.lost_files import LostFiles

FULL = OSError(errno.ENOSPC, "No space left on device", "/runs/a.csv")
LINE = (
    "a.csv could not be written: /runs/a.csv: No space left on device; the disk is full: free space, or name another "
    "place (--runs_dir, KOSUM_CACHE, TMPDIR)"
)


def fail(lost: LostFiles, error: Exception = FULL) -> None:
    with lost.go_on("a.csv"):
        raise error


def test_what_cannot_be_written_is_said_once_and_kept_in_mind(capsys: pytest.CaptureFixture[str]) -> None:
    lost = LostFiles()
    fail(lost)
    fail(lost)
    assert lost.line == LINE
    assert capsys.readouterr().err == f"kosum_pl: warning: {LINE}; checkpoints do not wait for it\n"


def test_what_is_written_later_is_lost_no_more_and_lost_anew_is_said_anew(capsys: pytest.CaptureFixture[str]) -> None:
    lost = LostFiles()
    fail(lost)
    with lost.go_on("a.csv"):
        pass
    assert lost.line == ""
    fail(lost)
    assert capsys.readouterr().err.count("could not be written") == 2


def test_a_defect_is_raised() -> None:
    lost = LostFiles()
    with pytest.raises(ValueError, match="x"):
        fail(lost, ValueError("x"))
    assert lost.line == ""


def test_several_are_one_line_with_the_first_reason() -> None:
    lost = LostFiles()
    fail(lost)
    with lost.go_on("b.csv"):
        raise OSError(errno.EACCES, "Permission denied", "/runs/b.csv")
    assert lost.line == LINE.replace("a.csv could", "a.csv, b.csv could")
