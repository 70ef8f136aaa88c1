"""Bad inputs, each answered by one line and exit status 2: a table, in parts under `tests/bad_inputs`.

Whatever is refused before a run has begun leaves no run behind.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.cli.lightning_cli import KosumCLI
from kosum_pl.cli.plugins import load_plugins
from tests.bad_inputs import checkpoints, data, places, runs, settings, yamls
from tests.bad_inputs.row import BadInput, lay_out
from tests.error_lines import error_line

ROWS = [*settings.ROWS, *checkpoints.ROWS, *runs.ROWS, *yamls.ROWS, *data.ROWS, *places.ROWS]


@pytest.fixture(scope="module", autouse=True)
def _rows_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Behind the last row no plug-in of a row's folder is left. Until then no garbage is sought in what is imported."""
    gc.freeze()
    yield
    gc.unfreeze()
    load_plugins(working_dir=tmp_path_factory.mktemp("none"))


@pytest.fixture(scope="module")
def parsers() -> dict[tuple[type, str], dict[str, Any]]:
    """What a command line's class has made to parse with, by the class and its command."""
    return {}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsers: dict[tuple[type, str], dict[str, Any]]) -> Path:
    """A working folder with rows, a preset and a config. Parsers, which take a third of the time, are made once."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    lay_out(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.startswith("callbacks.")]:
        monkeypatch.delitem(sys.modules, name)
    setup_parser = KosumCLI.setup_parser

    def setup_once(cli: KosumCLI, *arguments: Any) -> None:
        key = (type(cli), cli.invocation.command)
        if key not in parsers:
            before = set(vars(cli))
            setup_parser(cli, *arguments)
            parsers[key] = {name: value for name, value in vars(cli).items() if name not in before}
        vars(cli).update(parsers[key])

    monkeypatch.setattr(KosumCLI, "setup_parser", setup_once)
    return folder


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_bad_input_is_one_line(row: BadInput, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in row.files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    if row.make is not None:
        row.make(work)
    before = set(work.rglob("*"))
    line = error_line(capsys, *(word.replace("{work}", str(work)) for word in row.words), has_output=row.has_output)
    for text in row.says:
        assert text in line
    assert not (work / checkpoints.BOMB_MARK).exists()
    if not row.leaves_a_run:
        assert set(work.rglob("*")) == before


def test_the_table_is_large_and_no_row_stands_twice() -> None:
    names = [row.name for row in ROWS]
    assert len(names) >= 120
    assert len(set(names)) == len(names)
    contents = [(row.words, *sorted((name, str(content)) for name, content in row.files.items())) for row in ROWS]
    told_apart = {
        content if row.make is None else (*content, row.name) for content, row in zip(contents, ROWS, strict=True)
    }
    assert len(told_apart) == len(ROWS)
