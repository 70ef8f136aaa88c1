"""Real rows, and the check of a metric under several ranks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def dev_references(shared_dir: Path) -> list[list[str]]:
    """Three reference summaries of each of 499 dialogues."""
    lines = (shared_dir / "data" / "dev_multiref.jsonl").read_text(encoding="utf-8").splitlines()
    return [[row["summary1"], row["summary2"], row["summary3"]] for row in map(json.loads, lines)]
