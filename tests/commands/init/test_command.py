from __future__ import annotations

import ast
import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import main
from kosum_pl.cli.plugins import load_plugins
from kosum_pl.commands.init.command import working_files
from kosum_pl.decode.preset import load_preset
from tests.error_lines import error_line

SHIPPED = sorted(path.stem for path in (Path(__file__).resolve().parents[3] / "configs").glob("*.yaml"))
FILES = [
    "README.md",
    "callbacks/show_summary.py",
    "configs/presets/mine.yaml",
    "configs/summarizer.yaml",
    "data/dev.csv",
    "data/test.csv",
    "data/train.csv",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """A folder as `init` lays it out, and the working folder."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "mine"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: cd mine")]
    monkeypatch.chdir(tmp_path / "mine")
    yield tmp_path / "mine"
    load_plugins(working_dir=tmp_path)


def test_it_lays_out_these_files(folder: Path) -> None:
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == FILES
    rows = {name: list(csv.DictReader((folder / "data" / f"{name}.csv").open(encoding="utf-8"))) for name in
            ("train", "dev", "test")}  # fmt: skip
    assert [len(each) for each in rows.values()] == [2, 2, 2]
    assert all(row["dialogue"].startswith("#Person1#: ") for each in rows.values() for row in each)
    assert all(row["summary"].endswith(".") for row in (*rows["train"], *rows["dev"]))
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert "{" not in readme
    assert all(name in readme for name in ("fit ", "validate", "predict", "charset", "--init_from"))


@pytest.mark.parametrize("command", ["fit", "predict"])
def test_the_real_parser_takes_the_config_and_finds_the_callback(
    folder: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--config", "summarizer", "--print_config"])
    assert end.value.code == 0
    parsed = yaml.safe_load(capsys.readouterr().out)
    classes = [each["class_path"] for each in parsed["trainer"]["callbacks"]]
    assert "callbacks.show_summary.ShowSummary" in classes
    assert parsed["model"]["init_args"]["presets"] == ["mine"]
    assert parsed["data"]["train_file"] == "data/train.csv"
    assert parsed["data"]["columns"]["dialogue"] == "dialogue"


def test_the_preset_is_found_by_its_name(folder: Path) -> None:
    assert load_preset("mine").num_beams == 4


def test_the_folder_works_with_a_small_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    overrides = "{d_model: 16, encoder_layers: 1, decoder_layers: 1, encoder_ffn_dim: 16, decoder_ffn_dim: 16}"
    small = ["model_name=demo:bart", "random_init=true", f"config_overrides={overrides}", "rouge_tokenizer=space"]
    arguments = [
        *(f"--model.{each}" for each in small),
        "--trainer.accelerator=cpu",
        "--trainer.precision=32-true",
        "--trainer.max_steps=1",
        "--trainer.val_check_interval=1",
        "--trainer.enable_progress_bar=false",
        "--data.num_workers=0",
    ]
    assert main(["fit", "--config", "summarizer", *arguments]) == 0
    out = capsys.readouterr().out
    reference = "#Person2#는 #Person1#에게 책을 다음 주 금요일까지 반납하라고 알려 준다."
    assert f"\n  reference: {reference}\n" in out
    assert "step 1: " in out
    assert (folder / "runs" / "summarizer" / "latest" / "reproduce.sh").exists()


@pytest.mark.parametrize("base", SHIPPED)
def test_every_shipped_config_can_be_the_beginning(base: str) -> None:
    files = working_files(base)
    assert sorted(files) == FILES
    text = files["configs/summarizer.yaml"]
    assert text.startswith("# python -m kosum_pl fit --config summarizer.yaml\n")
    values = yaml.safe_load(text)
    assert [values["data"][f"{split}_file"] for split in ("train", "val", "test", "predict")] == [
        "data/train.csv", "data/dev.csv", None, "data/test.csv",
    ]  # fmt: skip
    assert values["trainer"]["callbacks"][-1] == {"class_path": "ShowSummary"}
    ast.parse(files["callbacks/show_summary.py"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["."], ". is not empty (it has README.md, callbacks, configs); give a new folder"),
        (["README.md"], "README.md is a file; give a new folder"),
        (
            ["README.md/new"],
            "README.md/new cannot be laid out: [Errno 20] Not a directory: 'README.md/new/configs'; give",
        ),
        ([], "init takes one folder: python -m kosum_pl init DIR [--config NAME]"),
        (["a", "b"], "init takes one folder: python -m kosum_pl init DIR [--config NAME]"),
        (["a", "--force"], "unknown option '--force' of init; options: --config, --help"),
        (["a", "--config", "nope"], "no config 'nope' is shipped; known: "),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert error_line(capsys, "init", *arguments).startswith(line)
    assert not (folder / "a").exists()
    assert len([path for path in folder.rglob("*") if path.is_file()]) == len(FILES)


def test_the_next_line_can_be_pasted_whatever_the_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "new one"]) == 0
    assert "next: cd 'new one', put your rows" in capsys.readouterr().out
