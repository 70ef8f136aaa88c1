"""A server of killable processes for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.runs import Server, serving


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[Server]:
    """Started once for all tests of a worker."""
    with serving() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOSUM_REPOSITORY", str(repository))
        yield server
