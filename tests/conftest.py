"""Fixtures shared by all rooms' tests."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kosum_pl.lookup import resolve_path

# Read when the hub's client is imported: no test asks a hub.
os.environ["HF_HUB_OFFLINE"] = "1"

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout under test."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Folder with real rows and tokenizers; a test that needs it is skipped by name where there is none."""
    folder = Path(os.environ.get("KOSUM_SHARED_DIR", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data at {folder} (set KOSUM_SHARED_DIR)")
    return folder


@pytest.fixture(autouse=True)
def _isolated_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own caches."""
    monkeypatch.setenv("KOSUM_CACHE", str(tmp_path / "kosum-cache"))


@pytest.fixture
def cut_demo(tmp_path: Path) -> Callable[[int, int], dict[str, str]]:
    """Writes the first rows of the demo's training and dev split; returns the data module's file arguments."""

    def cut(num_train: int, num_val: int) -> dict[str, str]:
        paths = {}
        for split, name, num_rows in (("train", "train.csv", num_train), ("val", "dev.csv", num_val)):
            with Path(resolve_path(f"demo:{name}")).open(encoding="utf-8", newline="") as file:
                rows = list(csv.reader(file))[: num_rows + 1]
            path = tmp_path / name
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(rows)
            paths[f"{split}_file"] = str(path)
        return paths

    return cut
