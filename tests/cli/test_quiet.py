"""What is kept off the terminal, and what never is."""

from __future__ import annotations

import errno
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from kosum_pl.cli.quiet import quieten

FULL = OSError(errno.ENOSPC, "No space left on device")


class Writer(threading.Thread):
    __module__ = "tensorboard.summary.writer.event_file_writer"


@pytest.mark.parametrize(
    ("thread", "error", "is_shown"),
    [
        (Writer(), FULL, False),
        (Writer(), ValueError("a defect"), True),
        (threading.Thread(), FULL, True),
    ],
    ids=["writer on a full disk", "writer's defect", "another thread"],
)
def test_a_traceback_of_tensorboards_writer_on_a_full_disk_is_left_to_its_logger(
    monkeypatch: pytest.MonkeyPatch, thread: threading.Thread, error: Exception, is_shown: bool
) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", shown.append)
    quieten()
    quieten()
    arguments = SimpleNamespace(thread=thread, exc_value=error, exc_type=type(error), exc_traceback=None)
    threading.excepthook(arguments)  # type: ignore[arg-type]
    assert shown == [arguments] * is_shown
