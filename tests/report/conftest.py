"""Fixture that writes run directories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.report.run_folders import ROWS, Row, write_run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run of a given name and rows, with further files by name."""

    def make(
        name: str = "demo/one", rows: Sequence[Row] = (), files: Mapping[str, Any] | None = None, **metrics: Any
    ) -> Path:
        return write_run(tmp_path / "runs" / name, rows or ROWS, metrics, files)

    return make
