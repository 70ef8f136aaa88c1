"""Who may train in a run: judged by the system's lock, by what the file says, and by whether its process lives."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.errors import UsageError
from kosum_pl.runs.files import LOCK_FILE
from kosum_pl.runs.lock import Holder, _process_start, hold_run, is_stale

HOLDER = """
import sys, time
from pathlib import Path
from kosum_pl.runs.lock import hold_run

with hold_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
HERE = platform.node()
SINCE = "2026-11-29T03:00:00+00:00"


def hold(run_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def dead_pid() -> int:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


def leave(run_dir: Path, **changed: Any) -> Path:
    path = run_dir / LOCK_FILE
    values = asdict(Holder(host=HERE, pid=os.getpid(), since=SINCE, process_start=_process_start(os.getpid())))
    path.write_text(json.dumps({**values, **changed}), encoding="utf-8")
    return path


@pytest.fixture
def _without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)


def refused(run_dir: Path) -> str:
    with pytest.raises(UsageError) as caught, hold_run(run_dir):
        pass
    return str(caught.value)


def test_the_file_says_who_trains_and_goes_with_the_block(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    with hold_run(tmp_path):
        values = json.loads(path.read_text(encoding="utf-8"))
        assert (values["host"], values["pid"]) == (HERE, os.getpid())
        line = f"run {tmp_path} is being trained by process {os.getpid()} on host {HERE} since {values['since']}"
        assert refused(tmp_path) == f"{line}; wait until it ends, or stop it"
        assert path.is_file()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_it_goes_with_every_error(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), hold_run(tmp_path):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_refused_until_the_first_ends_or_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = hold(tmp_path)
    assert f"trained by process {process.pid} on host {HERE} since 20" in refused(tmp_path)
    process.communicate(input="")
    assert list(tmp_path.iterdir()) == []
    with hold_run(tmp_path):
        assert capsys.readouterr() == ("", "")
    process = hold(tmp_path)
    process.kill()
    process.communicate()
    with hold_run(tmp_path):
        said = capsys.readouterr().err
    head = f"kosum_pl: warning: {tmp_path}: process {process.pid} on host {HERE} since "
    assert said.startswith(head)
    assert said.endswith(" ended without a word; fit goes on in its place\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("holder", "is_certain", "expected"),
    [
        # The system would keep us out if the process lived, so a number that lives is another process's.
        (Holder(host=HERE, pid=os.getpid(), since=SINCE), True, True),
        (None, True, True),
        (None, False, False),
        (Holder(host=HERE, pid=os.getpid(), since=SINCE), False, False),
        (Holder(host=HERE, pid=os.getpid(), since=SINCE, process_start=_process_start(os.getpid())), False, False),
        (Holder(host=HERE, pid=os.getpid(), since=SINCE, process_start=1), False, True),
        (Holder(host=HERE, pid=1, since=SINCE), False, False),
        (Holder(host=HERE, pid=dead_pid(), since=SINCE), False, True),
        (Holder(host=HERE, pid=1 << 70, since=SINCE), False, True),
        (Holder(host="elsewhere", pid=1 << 21, since=SINCE), True, False),
        (Holder(host="elsewhere", pid=1 << 21, since=SINCE), False, False),
    ],
)
def test_what_is_stale(holder: Holder | None, is_certain: bool, expected: bool) -> None:
    if holder is not None and holder.process_start == 1 and not Path("/proc/self/stat").exists():
        pytest.skip("the start of a process is read from /proc")
    assert is_stale(holder, is_certain=is_certain) == expected


@pytest.mark.parametrize("has_locks", [True, False])
def test_the_lock_of_another_host_is_left_to_the_user(
    tmp_path: Path, request: pytest.FixtureRequest, has_locks: bool
) -> None:
    if not has_locks:
        request.getfixturevalue("_without_locks")
    path = leave(tmp_path, host="gpu7", pid=4711)
    line = f"run {tmp_path} is being trained by process 4711 on host gpu7 since {SINCE}; wait until it ends, or stop it"
    assert refused(tmp_path) == f"{line}; if it is gone, delete {path}"
    path.unlink()
    with hold_run(tmp_path):
        pass


@pytest.mark.usefixtures("_without_locks")
def test_without_locks_the_process_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = leave(tmp_path)
    assert refused(tmp_path).endswith(f"since {SINCE}; wait until it ends, or stop it; if it is gone, delete {path}")
    leave(tmp_path, pid=dead_pid())
    with hold_run(tmp_path):
        assert "ended without a word" in capsys.readouterr().err
        assert "trained by process" in refused(tmp_path)
        assert path.is_file()
    path.write_text("", encoding="utf-8")
    assert refused(tmp_path).startswith(f"run {tmp_path} is being trained by another process; ")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"host": 1}', "null", "\x00\xff"])
def test_a_file_that_says_nothing_holds_nobody_up(tmp_path: Path, text: str) -> None:
    (tmp_path / LOCK_FILE).write_text(text, encoding="latin-1")
    with hold_run(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).mkdir()
    line = f"{tmp_path / LOCK_FILE}: cannot be written (Is a directory); fit needs a run that it can write"
    assert refused(tmp_path) == line
