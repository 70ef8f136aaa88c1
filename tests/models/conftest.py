"""A few rows of the demo to train on."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def files(cut_demo: Callable[[int, int], dict[str, str]]) -> dict[str, str]:
    return cut_demo(32, 8)
