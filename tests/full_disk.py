"""A disk that is full for some files: writing them ends as the system ends it, without a word which file it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kosum_pl import files


def fill_disk(
    monkeypatch: pytest.MonkeyPatch, is_full_for: Callable[[str], bool], *, number: int = errno.ENOSPC
) -> list[str]:
    """Refuse every atomic write to a file whose name is full for; returns the names as they are refused."""
    refused: list[str] = []
    flush = files._flush

    def full(path: Path) -> None:
        name = path.name.removeprefix(".").rpartition("-")[0]  # of the temporary file beside it
        if name and is_full_for(name):
            refused.append(name)
            raise OSError(number, os.strerror(number))
        flush(path)

    monkeypatch.setattr(files, "_flush", full)
    return refused
