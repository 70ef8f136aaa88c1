"""Options of every command: what is declared, what is read, and the line that a wrong one gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.__main__ import main
from kosum_pl.cli.arguments import parse_options
from kosum_pl.cli.options import COMMANDS, CONFIG_OPTIONS, TRAINER_COMMANDS, WITHOUT_CONFIG, option_parser
from kosum_pl.errors import UsageError
from tests.error_lines import error_line

OF_A_CONFIG = {f"--{name}" for name in CONFIG_OPTIONS}
OWN = {
    "charset": {"--json"},
    "doctor": {"--json"},
    "drift": {"--json", "--plot"},
    "export": {"--output", "--merge", "--merge_base", "--sample", "--allow_difference", "--device"},
    "fit": {"--safe_csv"},
    "gate": {"--rules", "--baseline", "--junit", "--json"},
    "init": {"--config"},
    "plan": {"--json", "--memory"},
    "predict": {"--safe_csv", "--no_text"},
    "mbr": {"--weights", "--output", "--safe_csv"},
    "report": {"--output", "--markdown", "--redact"},
    "summarize": {"--safe_csv", "--input_format", "--format", "--output", "--batch_size", "--device"},
    "tune": {"--slice", "--trials", "--output", "--force", "--held_out", "--seed", "--study", "--device"},
    "test": {"--safe_csv"},
    "validate": {"--safe_csv"},
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_declares_its_options(command: str) -> None:
    shared = set() if command in WITHOUT_CONFIG else OF_A_CONFIG
    actions = option_parser(command)._actions
    assert {name for action in actions for name in action.option_strings if name.startswith("--")} - {"--help"} == (
        OWN.get(command, set()) | shared
    )
    assert all(action.help for action in actions)


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - set(TRAINER_COMMANDS)))
def test_help_is_shown_wherever_it_stands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--bogus", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m kosum_pl {command} ")
    assert all(f"  {name}" in text for name in OWN[command])


@pytest.mark.parametrize(
    ("words", "value", "rest"),
    [
        (["--a", "1"], None, ["--a", "1"]),
        (["--run_name", "x.json", "--a"], "x.json", ["--a"]),
        (["--run_name=x.json", "--run_name", "y.json"], "y.json", []),
        (["--run_name=a=b"], "a=b", []),
        (["--run_name=--odd"], "--odd", []),
        (["--data.run_name", "x", "--model.run_name=-1"], None, ["--data.run_name", "x", "--model.run_name=-1"]),
    ],
)
def test_an_option_is_taken_and_the_rest_is_left(words: list[str], value: str | None, rest: list[str]) -> None:
    options = parse_options("charset", words)
    assert (options.run_name, list(options.rest), list(options.words)) == (value, rest, words)


@pytest.mark.parametrize("option", ["--config", "--preset", "--ckpt_path", "--runs_dir", "--run_name", "--json"])
@pytest.mark.parametrize("rest", [[], ["--trainer.max_steps=1"]])
def test_an_option_without_its_value_is_named(option: str, rest: list[str]) -> None:
    for words in ([option, *rest], [f"{option}=", *rest]):
        with pytest.raises(UsageError, match=f"^{option} needs a value$"):
            parse_options("charset", words)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "gate run --rulse x",
            "unknown option '--rulse' of gate; options: --rules, --baseline, --junit, --json, --help",
        ),
        ("export --outptu x", "unknown option '--outptu' of export; did you mean '--output'?"),
        ("fit --presets x", "unknown option '--presets' of fit; did you mean '--preset'?"),
        ("export --conf x --outp y --merge=yes", "--merge ignored explicit argument 'yes'"),
        ("export --sample x", "--sample is 'x'; write a whole number from 0 on"),
        ("export --sample -1", "--sample is '-1'; write a whole number from 0 on"),
        ("export --merge_base x", "--merge_base is 'x'; known: quantized, original"),
        ("export --output taken", "--output taken exists already; name a new folder, or take that one away"),
        ("summarize --format xml", "--format is 'xml'; known: text, csv, jsonl"),
        ("summarize --input_format xml", "--input_format is 'xml'; known: auto, text, csv, jsonl"),
        ("summarize --batch_size 0", "--batch_size is '0'; write a whole number from 1 on"),
        ("tune --trials 0", "--trials is '0'; write a whole number from 1 on"),
        ("tune --seed 1.5", "--seed is '1.5'; write a whole number from 0 on"),
        ("tune --held_out 1", "--held_out is '1'; write a share between 0 and 1, such as 0.5"),
        ("tune --held_out half", "--held_out is 'half'; write a share between 0 and 1, such as 0.5"),
        ("plan --memory lots", "--memory is 'lots'; give a size such as 24GB, 80GB or 22.5GiB"),
        ("plan --memory 0", "--memory is '0'; give a size such as 24GB, 80GB or 22.5GiB"),
        ("drift --plot out.gif", "--plot out.gif: unknown ending '.gif'; use .svg, .png, .pdf"),
        ("drift --json taken", "--json taken is a folder; give the name of a file in it"),
        ("drift --json no/a.json", "--json no/a.json: there is no folder no; make it first"),
        ("fit --run_name a/b", "--run_name is 'a/b'; write a name without slashes, and where it lies into --runs_dir"),
        ("fit --run_name ..", "--run_name is '..'; write a name without slashes, and where it lies into --runs_dir"),
    ],
)
def test_a_wrong_option_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    assert error_line(capsys, *line.split()) == message


def test_folders_may_stand_between_options() -> None:
    options = parse_options("report", ["a", "--output", "x.html", "b"])
    assert (options.runs, options.output) == ([Path("a"), Path("b")], Path("x.html"))


def test_abbreviations_are_no_options() -> None:
    assert parse_options("charset", ["--js", "a.json"]).rest == ("--js", "a.json")


def test_several_slices_of_tune_are_kept_in_order_and_are_not_those_of_the_data() -> None:
    options = parse_options("tune", ["--slice", "weekday=6,7", "--slice=topic=여행", "--data.seed", "1"])
    assert (options.slices, options.slice, options.rest) == (["weekday=6,7", "topic=여행"], [], ("--data.seed", "1"))
    assert (options.trials, options.held_out, options.seed, options.force) == (40, 0.5, 42, False)


def test_sizes_know_powers_of_ten_and_of_two() -> None:
    sizes = {"24GB": 24e9, "24": 24e9, "22.5GiB": 22.5 * 2**30, "900 mb": 9e8, "8G": 8e9}
    assert {word: parse_options("plan", ["--memory", word]).memory for word in sizes} == sizes


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kosum_pl.cli.option_types.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^--plot needs matplotlib, .*: pip install matplotlib$"):
        parse_options("drift", ["--plot", "a.svg"])
