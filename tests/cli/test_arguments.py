from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.cli.arguments import read_arguments, read_yaml


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(f"seed_everything: {len(name)}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("spelling", [["-c", "demo"], ["--config", "demo.yaml"], ["--config=demo"]])
def test_a_bare_name_is_looked_up(work: Path, spelling: list[str]) -> None:
    read = read_arguments("fit", spelling)
    assert read.config_name == "demo"
    assert read.arguments[0].endswith("/configs/demo.yaml")


def test_the_working_folders_config_wins_over_the_shipped_one(work: Path) -> None:
    (work / "configs").mkdir()
    (work / "configs" / "demo.yaml").write_text("trainer: {max_epochs: 1}\n", encoding="utf-8")
    assert read_arguments("fit", ["-c", "demo"]).arguments == (f"--config={work / 'configs' / 'demo.yaml'}",)


def test_preset_is_short_for_the_modules_argument(work: Path) -> None:
    read = read_arguments("validate", ["--preset", "fast", "--config", "a.yaml", "--preset=saturday"])
    assert read.arguments[1:] == ("--model.preset=saturday",)


def test_an_unknown_preset_lists_what_exists(work: Path) -> None:
    with pytest.raises(ValueError, match=r"preset 'fats' is not a file .* known: .*fast"):
        read_arguments("validate", ["--config", "a.yaml", "--preset", "fats"])


def test_runs_dir_by_flag_and_by_environment(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_arguments("fit", ["-c", "a.yaml"]).runs_dir == Path("runs")
    monkeypatch.setenv("KOSUM_RUNS_DIR", "/elsewhere")
    assert read_arguments("fit", ["-c", "a.yaml"]).runs_dir == Path("/elsewhere")
    read = read_arguments("fit", ["-c", "a.yaml", "--runs_dir", "here"])
    assert read.runs_dir == Path("here")
    assert not any("--runs_dir" in argument for argument in read.arguments)


def test_the_run_name_wins_over_the_configs(work: Path) -> None:
    moved = work / "moved" / "config.yaml"
    moved.parent.mkdir()
    moved.write_text("seed_everything: 1\n", encoding="utf-8")
    assert read_arguments("fit", ["-c", str(moved)]).config_name == "config"
    read = read_arguments("fit", ["-c", str(moved), "--run_name", "a b.x"])
    assert read.config_name == "a b.x"
    assert read.arguments == (f"--config={moved}",)


def test_plugins_of_configs_and_flags_are_gathered(work: Path) -> None:
    (work / "a.yaml").write_text("plugins: [one.two]\n", encoding="utf-8")
    (work / "b.yaml").write_text("plugins: three\n", encoding="utf-8")
    read = read_arguments("fit", ["-c", "a.yaml", "-c", "b.yaml", "--plugins", "four.five"])
    assert read.plugins == ("one.two", "three", "four.five")
    assert read.arguments[-1] == '--plugins=["one.two", "three", "four.five"]'


def test_without_a_config_the_known_ones_are_listed(work: Path) -> None:
    with pytest.raises(ValueError, match=r"^fit needs --config NAME; known: .*kobart"):
        read_arguments("fit", ["--trainer.max_steps=1"])
    assert read_arguments("fit", ["--help"]).asks_for_help
    assert read_arguments("fit", ["--model.help", "Seq2SeqModule"]).asks_for_help


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer:\n  a: 1\n b: 2\n", r"bad.yaml:3:2: not YAML: "),
        ("trainer: [1, 2\n", r"bad.yaml:2:1: not YAML: "),
        ("a: \t- 1\n\t- b\n", r"bad.yaml:1:4: not YAML: "),
        ("- 1\n", r"bad.yaml: a config is a mapping such as 'model: …', this is list"),
        ("", r"bad.yaml: a config is a mapping such as 'model: …', this is NoneType"),
        ("data:\n  seed: 1\nmodel: {}\ndata: {}\n", r"bad.yaml:4: key 'data' stands twice"),
        ("plugins: 3\n", r"bad.yaml: plugins is 3; give a module"),
    ],
)
def test_a_broken_config_names_file_and_line(work: Path, text: str, message: str) -> None:
    (work / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        read_arguments("fit", ["--config", "bad.yaml"])
    assert "\n" not in str(error.value)


def test_a_config_in_another_encoding_is_named(work: Path) -> None:
    (work / "bad.yaml").write_bytes("a: 요약\n".encode("cp949"))
    with pytest.raises(ValueError, match=r"bad.yaml: not UTF-8 at byte 3"):
        read_yaml(work / "bad.yaml")


def test_a_slice_becomes_the_data_modules_argument(work: Path) -> None:
    read = read_arguments("test", ["-c", "a.yaml", "--slice", "weekday=6,7", "--slice=topic=여행, 쇼핑"])
    assert read.arguments[1:] == ('--data.slice=["weekday=6,7", "topic=여행, 쇼핑"]',)
    assert len(read_arguments("test", ["-c", "a.yaml"]).arguments) == 1


@pytest.mark.parametrize("condition", ["weekday", "weekday=", "=7", "weekday= ,"])
def test_half_a_slice_is_named(work: Path, condition: str) -> None:
    with pytest.raises(ValueError, match=rf"^--slice {condition}: write column=value or column=value,value, such as"):
        read_arguments("validate", ["-c", "a.yaml", f"--slice={condition}"])
