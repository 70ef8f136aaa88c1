from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.__main__ import main
from tests.error_lines import error_line
from tests.report.run_folders import ROWS, write_run


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    return write_run(tmp_path / "a", ROWS), write_run(tmp_path / "b", ROWS)


def test_a_page_and_its_summary_lie_in_the_run(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs[0])]) == 0
    assert capsys.readouterr().out == f"report: {runs[0] / 'report.html'}\nsummary: {runs[0] / 'report.md'}\n"
    assert (runs[0] / "report.html").is_file()
    assert (runs[0] / "report.md").is_file()


def test_several_runs_do_not_overwrite_the_page_of_the_first(runs: tuple[Path, Path]) -> None:
    assert main(["report", *map(str, runs)]) == 0
    assert {path.name for path in runs[0].glob("report*")} == {"report-compare.html", "report-compare.md"}


def test_files_go_where_they_are_wanted(runs: tuple[Path, Path], tmp_path: Path) -> None:
    assert main(["report", str(runs[0]), "--output", str(tmp_path / "x.html"), f"--markdown={tmp_path / 'y.md'}"]) == 0
    assert (tmp_path / "x.html").is_file()
    assert (tmp_path / "y.md").is_file()
    assert not list(runs[0].glob("report*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "report needs a run"),
        (["absent"], "run 'absent' is no folder"),
        (["."], "'.' is no run: it has no metrics.json"),
        (["a", "--output", "x.md"], "the summary would overwrite the page"),
    ],
)
def test_a_mistake_is_one_line(
    runs: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in error_line(capsys, "report", *arguments)
