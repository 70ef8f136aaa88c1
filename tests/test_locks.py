"""Locks: held by one process, gone with it, and no trap where there are none."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kosum_pl.locks import take_lock

HOLDER = """
import sys, time
from pathlib import Path
from kosum_pl.locks import take_lock

lock = take_lock(Path(sys.argv[1]), waits=False)
lock.write("somebody")
print("held", flush=True)
time.sleep(60)
"""


def hold(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_holds_it_and_its_file_vanishes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = take_lock(path, waits=False)
    assert first is not None
    assert (first.is_certain, first.is_new, first.read()) == (True, True, "")
    assert take_lock(path, waits=False) is None
    first.write("a longer text")
    first.write("shorter")
    assert first.read() == path.read_text(encoding="utf-8") == "shorter"
    first.release()
    assert list(tmp_path.iterdir()) == []
    second = take_lock(path, waits=False)
    assert second is not None
    first.release()  # a second time is nothing, also where the number of its descriptor has a new owner
    assert take_lock(path, waits=False) is None
    second.release(keeps_file=True)
    third = take_lock(path, waits=False)
    assert third is not None
    assert not third.is_new
    third.release()


def test_it_ends_with_the_process_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    process = hold(path)
    assert take_lock(path, waits=False) is None
    process.kill()
    process.communicate()
    lock = take_lock(path, waits=False)
    assert lock is not None
    assert (lock.is_new, lock.read()) == (False, "somebody")
    lock.release()


def test_who_waits_gets_it_when_the_holder_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    process = hold(path)
    killer = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; kill -9 {process.pid}"])
    lock = take_lock(path, waits=True)
    assert process.wait(timeout=10) == -signal.SIGKILL
    assert lock is not None
    assert path.is_file()
    lock.release()
    killer.wait()


def test_who_waited_for_a_file_that_went_locks_the_one_that_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = take_lock(path, waits=False)
    assert first is not None
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(take_lock, path, waits=True)
        time.sleep(0.1)
        assert not waiting.done()
        first.release()
        second = waiting.result(timeout=10)
    assert second is not None
    assert path.is_file()
    assert take_lock(path, waits=False) is None
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_lives_on_does_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock = take_lock(path, waits=False)
    assert lock is not None
    told, tell = os.pipe()
    wait, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        os.write(tell, b"x")
        os.read(wait, 1)  # until the parent closes its end, whatever becomes of it
        lock.release()  # not its own
        os._exit(0)
    try:
        os.read(told, 1)
        # As the system does for a parent that was killed: nothing is unlocked by name, the file is only closed.
        lock.release(keeps_file=True)
        taken = take_lock(path, waits=False)
    finally:
        os.close(end)
        os.waitpid(child, 0)
    assert taken is not None
    assert path.is_file()
    taken.release()


def test_a_file_system_without_locks_is_no_trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "a.lock"
    for waits in (False, True):
        first, second = take_lock(path, waits=waits), take_lock(path, waits=waits)
        assert first is not None
        assert second is not None
        assert (first.is_certain, first.is_new, second.is_new) == (False, True, False)
        first.release()
        second.release()
    assert list(tmp_path.iterdir()) == []
