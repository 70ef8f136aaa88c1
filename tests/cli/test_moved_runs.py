"""A run that was copied or moved is a run of its own: nothing leads back to where it lay."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from kosum_pl.__main__ import main
from kosum_pl.runs.run import open_run
from tests.error_lines import error_line
from tests.tiny_config import tiny_config

CONFIG = tiny_config(
    trainer={
        "max_steps": 4,
        "val_check_interval": 2,
        # What so small a model generates scores nothing; losses differ.
        "callbacks": [{"class_path": "RougeSumCheckpoint", "init_args": {"monitor": "val/loss"}}],
    },
    model={"rouge_tokenizer": "space"},
    data={"test_file": "dev.csv", "predict_file": "dev.csv"},
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a finished run of four steps."""
    monkeypatch.chdir(tmp_path)
    for name, number in (("train", 12), ("dev", 4)):
        with (tmp_path / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["fname", "dialogue", "summary", "topic"])
            for row in range(number):
                writer.writerow([f"{name}_{row}", f"#Person1#: {row}시에 만나요.", f"{row}시에 만난다.", "약속"])
    (tmp_path / "tiny_preset.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    assert main(["fit", "--config", "tiny.yaml"]) == 0
    return tmp_path


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, and where every link leads."""
    return {
        str(path.relative_to(folder)): (
            os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def run(command: str, runs_dir: str, *arguments: str) -> int:
    return main([command, "--config", "tiny.yaml", "--runs_dir", runs_dir, *arguments])


def run_in(runs_dir: Path) -> Path:
    (found,) = [path for path in (runs_dir / "tiny").iterdir() if path.name != "latest"]
    return found


def metrics(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return values


def names_of(value: object) -> list[str]:
    """All texts that a file of plain values holds."""
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in names_of(part)]
    if isinstance(value, (list, tuple)):
        return [text for part in value for text in names_of(part)]
    return [value] if isinstance(value, str) else []


def test_commands_on_a_copy_leave_the_original_alone(work: Path) -> None:
    shutil.copytree("runs", "copy", symlinks=True)
    before, copy = tree(work / "runs"), run_in(work / "copy")
    best = metrics(copy)["best_checkpoint"]
    assert best.startswith("checkpoints/step=")

    for command in ("validate", "test", "predict"):
        assert run(command, "copy", "--ckpt_path", "best") == 0
    evaluations = list((copy / "eval").iterdir())
    assert len(evaluations) == 3
    for evaluation in evaluations:
        assert metrics(evaluation)["best_checkpoint"] == f"../../{best}"
        assert open_run(evaluation).checkpoint == copy / best
        record = json.loads((evaluation / "run.json").read_text(encoding="utf-8"))
        assert (record["checkpoint"], record["runs_dir"]) == (f"../../{best}", "../../../..")
    assert run("export", "copy", "--ckpt_path", "best", "--output", "exported") == 0
    assert main(["report", "copy/tiny/latest"]) == 0
    kept = {path.name for path in (copy / "checkpoints").iterdir()}
    assert run("fit", "copy", "--ckpt_path", "last", "--trainer.max_steps", "8") == 0

    assert tree(work / "runs") == before
    assert run_in(work / "copy") == copy
    scores = [json.loads(line) for line in (copy / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    highest = sorted(scores, key=lambda line: -line["val/loss"])[:2]
    now_kept = {path.name for path in (copy / "checkpoints").iterdir()}
    assert now_kept == {"last.ckpt", *(f"step={line['step']:06d}-loss={line['val/loss']:.2f}.ckpt" for line in highest)}
    assert now_kept & kept > {"last.ckpt"}  # of the copied ones one at least is still among the best
    assert open_run(copy).checkpoint == copy / metrics(copy)["best_checkpoint"]
    assert f"step={highest[0]['step']:06d}-" in metrics(copy)["best_checkpoint"]


def test_a_moved_run_remembers_its_best_and_goes_on_among_it(work: Path) -> None:
    run_dir = run_in(work / "runs")
    best = metrics(run_dir)["best_checkpoint"]
    (work / "far").mkdir()
    (work / "runs").rename(work / "far" / "away")
    moved = work / "far" / "away" / "tiny" / run_dir.name
    assert run("validate", "far/away", "--ckpt_path", "best") == 0
    assert open_run(moved).checkpoint == moved / best
    # Scores alone decide what goes: a forgotten checkpoint would stay behind as a third.
    assert run("fit", "far/away", "--ckpt_path", "last", "--trainer.max_steps", "8") == 0
    assert len(list((moved / "checkpoints").iterdir())) == 3
    assert not (work / "runs").exists()


def test_no_file_of_a_run_names_the_place_of_another_one(work: Path) -> None:
    run_dir = run_in(work / "runs")
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    texts = names_of({key: value for key, value in state.items() if key != "state_dict"}) + names_of(metrics(run_dir))
    texts += [*(run_dir / "config.yaml").read_text(encoding="utf-8").splitlines()]
    record = json.loads((run_dir / "run.json").read_text(encoding="utf-8"))
    del record["working_dir"]
    assert not [text for text in [*texts, *names_of(record)] if str(work / "runs") in text]


def test_an_older_run_with_absolute_paths_works_where_it_lies_and_its_copy_alone(
    work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = run_in(work / "runs")
    best = run_dir / metrics(run_dir)["best_checkpoint"]
    (run_dir / "metrics.json").write_text(json.dumps({**metrics(run_dir), "best_checkpoint": str(best)}))
    shutil.copytree("runs", "copy", symlinks=True)
    latest = work / "copy" / "tiny" / "latest"
    latest.unlink()
    latest.symlink_to(run_dir)  # as somebody may have made it
    copy = run_in(work / "copy")
    assert run("validate", "runs", "--ckpt_path", "best") == 0
    before = tree(work / "runs")
    assert run("validate", "copy", "--ckpt_path", "best") == 0
    assert open_run(copy).checkpoint == copy / "checkpoints" / best.name
    (copy / "checkpoints" / best.name).unlink()
    words = ("validate", "--config", "tiny.yaml", "--runs_dir", "copy", "--ckpt_path", "best")
    assert f"{copy / 'checkpoints' / best.name} does not exist (there: last.ckpt" in error_line(capsys, *words)
    assert tree(work / "runs") == before


def test_a_copy_that_made_a_folder_of_the_link_is_gone_on_with(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree("runs", "copy", symlinks=False)
    assert run("fit", "copy", "--ckpt_path", "last", "--trainer.max_steps", "6") == 0
    assert "latest is a folder and no link: best and last mean the run in it" in capsys.readouterr().out
    assert not (work / "copy" / "tiny" / "latest").is_symlink()
    assert len((work / "copy" / "tiny" / "latest" / "metrics.jsonl").read_text().splitlines()) == 3
