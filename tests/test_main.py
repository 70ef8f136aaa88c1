from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from kosum_pl import __main__ as entry
from kosum_pl import __version__
from kosum_pl.cli.arguments import Options
from kosum_pl.errors import UsageError
from tests.error_lines import error_line

HEAVY = {"torch", "lightning", "transformers", "datasets", "jsonargparse", "numpy"}
LIGHT = [
    (["--help"], 0),
    (["-h"], 0),
    (["--version"], 0),
    ([], 2),
    (["fti"], 2),
    (["fit"], 2),
    (["fit", "--config", "nope"], 2),
    (["fit", "--config", "demo", "--preset", "nope"], 2),
    (["validate", "--config", "demo", "--ckpt_path", "best"], 2),
    (["predict", "--config", "demo", "--ckpt_path", "nope.ckpt"], 2),
    *((([command, "--help"], 0)) for command in ("charset", "doctor", "plan")),
    (["tune", "--config", "demo", "--output", "x.txt"], 2),
    (["gate", "nope", "--rules", "nope.yaml"], 2),
]


def run_python(code: str, *arguments: str, cwd: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    """A fresh interpreter's result and the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(entry.__file__).parents[1]), "PATH": "/usr/bin:/bin", "HOME": str(cwd)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return result, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(("arguments", "status"), LIGHT, ids=str)
def test_what_needs_nothing_heavy_is_answered_at_once(tmp_path: Path, arguments: list[str], status: int) -> None:
    code = (
        "import sys\n"
        "from kosum_pl.__main__ import main\n"
        "status = main(sys.argv[1:])\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "sys.exit(status)\n"
    )
    result, seconds = run_python(code, *arguments, cwd=tmp_path)
    assert result.returncode == status, result.stderr
    assert seconds < 1.0
    if status:
        assert result.stdout == ""
        assert result.stderr.startswith("kosum_pl: error: ")
        assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_fit_help_shows_all_options_and_loads_no_package_that_only_a_run_needs(tmp_path: Path) -> None:
    """A bound on seconds would be a bound on the machine; what costs seconds is imported or not."""
    heavy = ("peft", "bitsandbytes", "kiwipiepy", "sklearn", "optuna", "sacrebleu", "sentence_transformers", "xgrammar")
    code = (
        "import atexit, sys; from kosum_pl.__main__ import main; "
        f"atexit.register(lambda: print('LOADED', sorted(set({heavy!r}) & set(sys.modules)))); "
        "sys.exit(main(sys.argv[1:]))"
    )
    result, _ = run_python(code, "fit", "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "--trainer.max_epochs" in result.stdout
    assert "--preset NAME" in " ".join(result.stdout.split())
    assert result.stdout.rstrip().endswith("LOADED []")


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--help"]) == 0
    text = capsys.readouterr().out
    for command, summary in entry.COMMANDS.items():
        assert f"{command} " in text
        assert summary in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry.main(["--version"]) == 0
    assert capsys.readouterr().out == f"kosum_pl {__version__}\n"


def test_a_misspelt_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    line = error_line(capsys, "valdate")
    assert line.startswith("unknown command 'valdate'; did you mean 'validate'? commands: fit, ")


def test_an_option_before_the_command_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'--config' stands before the command" in error_line(capsys, "--config", "demo", "fit")


def test_an_unknown_config_lists_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    # `find_config` raises a plain ValueError: that it is one line rests on where it was raised.
    line = error_line(capsys, "fit", "--config", "nope.yaml")
    assert "config 'nope.yaml' is not a file and no config has this name; known: " in line
    assert "kobart" in line


class TestErrors:
    """A command stands in that fails in a chosen way."""

    @pytest.fixture
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
        errors: list[BaseException] = []

        def run(options: Options) -> int:
            raise errors[0]

        monkeypatch.setattr("kosum_pl.cli.run.run", run)
        monkeypatch.delenv("KOSUM_DEBUG", raising=False)
        return errors

    def test_a_usage_error_is_one_line(self, failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
        failing.append(UsageError("data.csv:3: bad\n  row"))
        assert error_line(capsys, "fit") == "data.csv:3: bad row"

    def test_debug_keeps_the_traceback(self, failing: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
        failing.append(UsageError("bad"))
        monkeypatch.setenv("KOSUM_DEBUG", "1")
        with pytest.raises(UsageError):
            entry.main(["fit"])

    def test_a_defect_keeps_its_traceback(self, failing: list[BaseException]) -> None:
        failing.append(KeyError("x"))
        with pytest.raises(KeyError):
            entry.main(["fit"])

    def test_a_value_error_from_outside_our_rooms_keeps_its_traceback(self, failing: list[BaseException]) -> None:
        failing.append(ValueError("from a library"))
        with pytest.raises(ValueError, match="from a library"):
            entry.main(["fit"])

    def test_an_interruption_says_where_the_run_lies(
        self, failing: list[BaseException], capsys: pytest.CaptureFixture[str]
    ) -> None:
        failing.append(KeyboardInterrupt("run directory: runs/demo/x"))
        assert entry.main(["fit"]) == 130
        assert capsys.readouterr().err == "kosum_pl: interrupted; run directory: runs/demo/x\n"


@pytest.mark.parametrize("num_words", [1, 100_000])
def test_output_that_nobody_reads_any_more_is_no_traceback(tmp_path: Path, num_words: int) -> None:
    code = (
        "import os, sys; from kosum_pl import __main__ as entry; reader, writer = os.pipe(); os.close(reader); "
        f"os.dup2(writer, 1); entry.help_text = lambda: {num_words} * '말'; sys.exit(entry.main(['--help']))"
    )
    result, _ = run_python(code, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (entry.EXIT_BROKEN_PIPE, "")
