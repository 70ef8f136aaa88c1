"""What a wrong command line gets."""

from __future__ import annotations

import pytest

from kosum_pl.__main__ import EXIT_USER_ERROR, main


def error_line(capsys: pytest.CaptureFixture[str], *words: str, has_output: bool = False) -> str:
    """The one line of a command that refuses, without the program's name; else nothing is on standard output."""
    capsys.readouterr()
    assert main(words) == EXIT_USER_ERROR
    out, err = capsys.readouterr()
    assert has_output or out == ""
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("kosum_pl: error: ")]
    return line.removeprefix("kosum_pl: error: ")
