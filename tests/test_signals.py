"""Signals become one exception, at once or where work has asked for it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from kosum_pl import signals

NUMBERS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    assert {number: signal.getsignal(number) for number in NUMBERS} == before


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_raises_at_once(number: signal.Signals) -> None:
    with pytest.raises(signals.Stopped) as stop, signals.stopping():
        send(number)
    assert stop.value.exit_status == 128 + number


def test_a_deferred_one_waits_for_the_next_check(capfd: pytest.CaptureFixture[str]) -> None:
    with signals.stopping():
        signals.defer(True)
        signals.check()
        send(signal.SIGTERM)
        send(signal.SIGTERM)  # a launcher repeats it
        send(signal.SIGUSR1)
        assert signals.received() is signal.SIGTERM
        with pytest.raises(signals.Stopped, match=r"^$") as stop:
            signals.check()
    assert stop.value.exit_status == 143
    assert capfd.readouterr().err == "\nkosum_pl: SIGTERM: stopping after this batch\n"
    with signals.stopping():  # what came belongs to the command that ended
        signals.check()


def test_workers_that_the_same_signal_ends_break_nothing_off() -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("a worker has ended")

    before = signal.signal(signal.SIGCHLD, refuse)  # as torch does
    try:
        with signals.stopping():
            signals.catch()
            signals.catch()
            with pytest.raises(RuntimeError, match="a worker has ended"):
                send(signal.SIGCHLD)
            signals.defer(True)
            send(signal.SIGTERM)
            send(signal.SIGCHLD)
            assert signals.received() is signal.SIGTERM
        with pytest.raises(RuntimeError, match="a worker has ended"):
            send(signal.SIGCHLD)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_what_was_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    try:
        with signals.stopping():
            send(signal.SIGHUP)
            signals.catch()
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_library_that_took_a_signal_loses_it() -> None:
    with signals.stopping():
        signal.signal(signal.SIGTERM, lambda *_: None)
        signals.catch()
        with pytest.raises(signals.Stopped):
            send(signal.SIGTERM)


def test_ctrl_c_twice_leaves_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    pid = os.fork()
    if pid == 0:
        with signals.stopping():
            signals.defer(True)
            send(signal.SIGINT)
            send(signal.SIGINT)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert "left at once, before anything more was saved" in capfd.readouterr().err


def test_a_thread_cannot_take_signals_and_need_not() -> None:
    done = []

    def work() -> None:
        with signals.stopping():
            signals.catch()
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


def test_another_rank_brings_its_signal() -> None:
    with signals.stopping():
        signals.note(15)
        with pytest.raises(signals.Stopped) as stop:
            signals.check()
    assert stop.value.number is signal.SIGTERM
