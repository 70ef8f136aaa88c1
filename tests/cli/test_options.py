from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.errors import UsageError


@pytest.mark.parametrize(
    ("arguments", "value", "rest"),
    [
        (["--a", "1"], None, ["--a", "1"]),
        (["--json", "x.json", "--a"], "x.json", ["--a"]),
        (["--json=x.json", "--json", "y.json"], "y.json", []),
        (["--json=a=b"], "a=b", []),
        (["--json=--odd"], "--odd", []),
        (["--jsonl", "x"], None, ["--jsonl", "x"]),
    ],
)
def test_take_option(arguments: list[str], value: str | None, rest: list[str]) -> None:
    assert take_option(arguments, name="--json") == (value, rest)


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "--config"], ["--json="]])
def test_an_option_without_a_value_is_an_error(arguments: list[str]) -> None:
    with pytest.raises(UsageError, match="--json needs a value"):
        take_option(arguments, name="--json")


def test_help_is_an_argument_of_its_own() -> None:
    assert asks_for_help(["-h"])
    assert not asks_for_help(["--model.help", "CausalModule"])


def test_an_output_file_must_be_writable(tmp_path: Path) -> None:
    assert output_file(None, option="--json") is None
    assert output_file(str(tmp_path / "a.json"), option="--json") == tmp_path / "a.json"
    with pytest.raises(UsageError, match=r"--json .* is a folder; give the name of a file in it"):
        output_file(str(tmp_path), option="--json")
    with pytest.raises(UsageError, match=r"there is no folder .*nope; make it first"):
        output_file(str(tmp_path / "nope" / "a.json"), option="--json")
