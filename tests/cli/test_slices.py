"""`validate --slice`, from the command line to the files."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import main
from tests.error_lines import error_line
from tests.tiny_config import tiny_config

CONFIG = tiny_config(
    trainer={
        "max_steps": 40,
        "val_check_interval": 40,
        "check_val_every_n_epoch": None,
        "use_distributed_sampler": False,
    },
    model={"rouge_tokenizer": "char", "slices": ["weekday", "length"]},
    data={
        **{f"{split}_file": "dev.csv" for split in ("train", "test", "predict")},
        "batch_size": 4,
        "eval_batch_size": 3,
    },
)
WEEKDAYS = ("7", "6", "7", "1", "6", "7", "7.0", "1", "6", "1", "7")
SATURDAYS = [row for row, weekday in enumerate(WEEKDAYS) if weekday.startswith("7")]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with tiny data and a tiny config."""
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "dev.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["fname", "dialogue", "summary", "weekday"])
        for row, weekday in enumerate(WEEKDAYS):
            dialogue = f"#Person1#: {row}시에 만나요.\n#Person2#: 네{', 좋아요' * row}."
            writer.writerow([f"dev_{row}", dialogue, f"두 사람은 {row}시에 만난다.", weekday])
    (tmp_path / "tiny_preset.yaml").write_text("max_new_tokens: 12\nmin_new_tokens: 6\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return tmp_path


def run(command: str, *arguments: str) -> int:
    return main([command, "--config", "tiny.yaml", *arguments])


def run_dir(work: Path) -> Path:
    return (work / "runs" / "tiny" / "latest").resolve()


def evaluate(work: Path, command: str, *arguments: str) -> tuple[Path, dict[str, Any]]:
    """Folder and `metrics.json` of one evaluation of the latest run's best checkpoint."""
    before = set((run_dir(work) / "eval").glob("*"))
    assert run(command, "--ckpt_path", "best", *arguments) == 0
    (folder,) = set((run_dir(work) / "eval").glob("*")) - before
    return folder, json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def submitted(folder: Path) -> list[tuple[str, str]]:
    with (folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
        return [(row["fname"], row["summary"]) for row in csv.DictReader(file)]


def table(folder: Path) -> dict[tuple[str, str], list[str]]:
    with (folder / "slices.csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["slice"], row["score"]): [row[name] for name in ("num_rows", "value", "low", "high")]
            for row in csv.DictReader(file)
        }


@pytest.mark.parametrize(("name", "rows"), [("weekday=7", SATURDAYS), ("length=q4", [8, 9, 10])])
def test_a_slice_alone_scores_what_it_scores_among_all(
    work: Path, capsys: pytest.CaptureFixture[str], name: str, rows: list[int]
) -> None:
    assert run("fit") == 0
    assert table(run_dir(work)).keys() >= {("all", "rouge_sum"), (name, "rouge_sum")}
    whole_folder, whole = evaluate(work, "validate")
    capsys.readouterr()
    folder, alone = evaluate(work, "validate", f"--slice={name}")
    out = capsys.readouterr().out
    assert out.count(f"slice {name}: {len(rows)} of 11 rows") == 2, "at the start and in the report"
    assert f"val {name} (preset tiny_preset)" in out

    assert alone["slice"] == name
    assert "slice" not in whole
    assert alone["num_rows"] == len(rows) == whole[f"val/num_rows/{name}"]
    among_all = {key.removesuffix(f"/{name}"): value for key, value in whole.items() if key.endswith(f"/{name}")}
    assert among_all.keys() > {"val/rouge_sum", "val/length_ratio", "val/hangul_ratio"}
    del among_all["val/num_rows"]
    assert {key: alone[key] for key in among_all} == among_all

    assert submitted(folder) == [submitted(whole_folder)[row] for row in rows]
    lines = {score: line for (part, score), line in table(folder).items() if part == "all"}
    assert lines == {score: line for (part, score), line in table(whole_folder).items() if part == name}
    assert folder.name.startswith(f"validate-tiny_preset-{name.replace('=', '-')}-")
    assert submitted(run_dir(work)) == submitted(whole_folder), "a part of the rows replaces no submission"


def test_test_and_predict_know_slices_and_a_saved_config_keeps_one(work: Path) -> None:
    assert run("fit") == 0
    for command in ("test", "predict"):
        folder, metrics = evaluate(work, command, "--slice", "weekday=1,6", "--slice", "length=q1,q2")
        assert [name for name, _ in submitted(folder)] == ["dev_1", "dev_3", "dev_4"]
        assert metrics["slice"] == "weekday=1,6 length=q1,q2"
        assert metrics["num_rows"] == 3
    config = folder / "config.yaml"
    assert yaml.safe_load(config.read_text(encoding="utf-8"))["data"]["slice"] == ["weekday=1,6", "length=q1,q2"]
    checkpoint = str(folder / metrics["best_checkpoint"])
    assert main(["predict", "--config", str(config), "--ckpt_path", checkpoint]) == 0
    assert len(list((run_dir(work) / "eval").iterdir())) == 3
    assert all(len(submitted(path)) == 3 for path in (run_dir(work) / "eval").iterdir())


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("validate", ["--slice=weekday=8"], "no row of val matches; values of weekday: 1, 6, 7"),
        ("test", ["--slice=wekday=7"], "test has no column 'wekday'; there are: weekday, length"),
        ("predict", ["--slice=weekday"], "--slice weekday: write column=value"),
        ("fit", ["--slice=weekday=7"], "--slice is for validate, test, predict; for fit, name files"),
        ("fit", ['--data.slice=["weekday=7"]'], "data.slice is weekday=7, and only evaluations have one"),
        ("validate", ['--data.slice=["weekday"]'], "slice 'weekday': write column=value"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    work: Path, capsys: pytest.CaptureFixture[str], command: str, arguments: list[str], line: str
) -> None:
    assert line in error_line(capsys, command, "--config", "tiny.yaml", *arguments)
    assert not (work / "runs").exists()


@pytest.mark.slow
def test_two_ranks_score_a_slice_once(work: Path) -> None:
    assert run("fit") == 0
    _, alone = evaluate(work, "validate", "--slice", "weekday=7")
    arguments = ["--slice", "weekday=7", "--ckpt_path", "best", "--trainer.devices=2", "--trainer.strategy=ddp"]
    result = subprocess.run(
        [sys.executable, "-m", "kosum_pl", "validate", "--config", "tiny.yaml", *arguments],
        cwd=work,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    first, second = sorted((run_dir(work) / "eval").iterdir(), key=lambda path: path.stat().st_mtime)
    assert table(first) == table(second)
    assert submitted(first) == submitted(second)
    scores = json.loads((second / "metrics.json").read_text(encoding="utf-8"))
    assert scores["val/rouge_sum"] == alone["val/rouge_sum"]


def test_a_condition_of_a_preset_that_holds_for_no_row_is_said_once(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "never.yaml").write_text("when: {weekday: 9}\nmax_new_tokens: 4\n", encoding="utf-8")
    assert main(["fit", "--config", "tiny.yaml", "--model.presets", "[never.yaml, tiny_preset.yaml]"]) == 0
    line = "warning: preset 'never' serves no row of val: none has weekday=9"
    assert capsys.readouterr().out.count(line) == 1
