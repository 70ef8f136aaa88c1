"""A run read from its files, with `run.json` and as runs were before there was one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.commands.gate.scores import Unjudged, read_scores
from kosum_pl.runs.record import RunRecord
from kosum_pl.runs.run import open_run
from tests.report.run_folders import ROWS, write_run

DIGEST = "a" * 64


def make_run(folder: Path, name: str = "demo/one", **metrics: Any) -> Path:
    return write_run(folder / "runs" / name, ROWS, metrics)


def test_a_run_is_read_through_its_link(tmp_path: Path) -> None:
    scores = {"val/rouge_sum": 80.0, "val/rouge_sum/weekday=7": 1.0, "start/loss": 2}
    folder = make_run(tmp_path, "demo/2026-11-22_19-40-05", **scores)
    os.symlink(folder.name, folder.parent / "latest")
    run = open_run(folder.parent / "latest")
    assert (run.folder, run.name) == (folder, "demo/2026-11-22_19-40-05")
    assert run.scores() == {"rouge_sum": 80.0}
    assert run.scores("start") == {"loss": 2.0}
    assert len(run.predictions) == 6
    assert run.predictions[2].raw_text == "눈이 雨 온다."
    assert run.data == {"seed": 1}
    assert (run.notes, run.slices, run.drift) == ((), (), {})


def test_an_evaluation_is_named_with_its_run(tmp_path: Path) -> None:
    run = open_run(make_run(tmp_path, "demo/x/eval/test-fast-1", stage="test", **{"test/rouge1": 3.0}))
    assert (run.name, run.stage, run.scores()) == ("demo/x/eval/test-fast-1", "test", {"rouge1": 3.0})


def test_files_of_training(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    (folder / "metrics.csv").write_text("step,train/loss,note\n9,1.5,\n19,nan,x\n", encoding="utf-8")
    (folder / "samples.jsonl").write_text('{"step": 1, "prediction": "a\u2028b"}\n', encoding="utf-8")
    run = open_run(folder)
    assert run.log == ({"step": 9.0, "train/loss": 1.5}, {"step": 19.0})
    assert run.samples[0]["prediction"] == "a\u2028b"


@pytest.mark.parametrize("is_old", [False, True])
def test_how_a_run_was_made(tmp_path: Path, is_old: bool) -> None:
    folder = make_run(tmp_path, config_hash="abc", best_checkpoint="/elsewhere/checkpoints/step=1.ckpt")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step=1.ckpt").touch()
    arguments = ["--config", "demo", "--config=own.yaml", "--model.preset", "it's"]
    if is_old:
        (folder / "config.yaml").write_text("lineage: [{weights: a.ckpt}]\n", encoding="utf-8")
        (folder / "constraints.txt").write_text("# versions\ntorch==2.13.0\n", encoding="utf-8")
        command = "python -m kosum_pl fit --config demo --config=own.yaml --model.preset 'it'\"'\"'s'"
        script = f"started_as=({command})\nHASHES\n{DIGEST}  train.csv\nHASHES\n"
        (folder / "reproduce.sh").write_text(script, encoding="utf-8")
    else:
        RunRecord(
            state="done", command="fit", arguments=arguments, config_hash="abc", lineage=[{"weights": "a.ckpt"}],
            versions={"torch": "2.13.0"}, hashes={"data": {"demo:train.csv": DIGEST}},
        ).write(folder)  # fmt: skip
    run = open_run(folder)
    assert run.record.state == ("" if is_old else "done")
    assert list(run.record.arguments) == arguments
    assert run.overlays == ("demo", "own.yaml")
    assert run.started_as.startswith("python -m kosum_pl fit --config demo --config=own.yaml --model.preset ")
    assert run.versions == {"torch": "2.13.0"}
    assert run.data_hashes == {"train.csv": DIGEST}
    assert run.config_hash == "abc"
    assert run.lineage == [{"weights": "a.ckpt"}]
    assert run.checkpoint == folder / "checkpoints" / "step=1.ckpt"


def test_a_record_comes_back_and_a_gate_names_an_unfinished_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    assert open_run(folder).record == RunRecord()
    record = RunRecord(state="failed", command="fit", checkpoint="last.ckpt", started="2026-01-01T00:00:00+00:00")
    record.write(folder)
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["schema_version"] == 1
    assert open_run(folder).record.checkpoint == "last.ckpt"
    scores = read_scores(folder, option="run")
    assert (scores.state, scores.is_unfinished) == ("failed", True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.json", '{"val/loss": 1'),
        ("predictions.jsonl", '{"example_id": "a"}\n'),
        ("metrics.jsonl", "[1]\n"),
        ("config.yaml", "a: [\n"),
        ("drift.json", "3"),
        ("run.json", '{"schema_version": 99}'),
        ("run.json", '{"schema_version": 1, "state": "do'),
        ("run.json", '{"schema_version": 1, "lineage": ["a"]}'),
        ("run.json", '{"schema_version": 1, "hashes": {"data": 5}}'),
        ("run.json", '{"schema_version": 1, "arguments": [1]}'),
        ("run.json", '{"schema_version": 1, "versions": ["torch"]}'),
        ("run.json", '{"schema_version": 1, "config_hash": null}'),
        ("run.json", '{"schema_version": 1, "checkpoint": 3}'),
    ],
)
def test_a_broken_file_leaves_a_note(tmp_path: Path, name: str, text: str) -> None:
    folder = make_run(tmp_path)
    (folder / name).write_text(text, encoding="utf-8")
    assert open_run(folder).notes[0].startswith(f"{name} could not be read: ")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder; give a run directory"):
        open_run(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"is no run: it has no metrics.json, config.yaml or predictions.jsonl"):
        open_run(tmp_path)


def test_a_score_beyond_every_float_is_none(tmp_path: Path) -> None:
    run = open_run(write_run(tmp_path, ROWS, {"val/rouge1": 10**400, "val/rouge2": 2, "val/rougeL": True}))
    assert run.scores() == {"rouge2": 2.0}
    with pytest.raises(Unjudged, match="val/rouge1 is 1000"):
        read_scores(tmp_path, option="run").score("val/rouge1")
