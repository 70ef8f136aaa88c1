from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kosum_pl.report.run_files import read_run

MakeRun = Callable[..., Path]


def test_a_run_is_read_through_its_link(make_run: MakeRun) -> None:
    folder = make_run(
        "demo/2026-11-22_19-40-05", **{"val/rouge_sum": 80.0, "val/rouge_sum/weekday=7": 1.0, "start/loss": 2}
    )
    os.symlink(folder.name, folder.parent / "latest")
    run = read_run(folder.parent / "latest")
    assert run.folder == folder
    assert run.name == "demo/2026-11-22_19-40-05"
    assert run.scores() == {"rouge_sum": 80.0}
    assert run.scores("start") == {"loss": 2.0}
    assert len(run.predictions) == 6
    assert run.predictions[2].raw_text == "눈이 雨 온다."
    assert run.config["data"] == {"seed": 1}
    assert not run.notes
    assert not run.slices
    assert run.drift == {}


def test_an_evaluation_is_named_with_its_run(make_run: MakeRun) -> None:
    run = read_run(make_run("demo/x/eval/test-fast-1", stage="test", **{"test/rouge1": 3.0}))
    assert run.name == "demo/x/eval/test-fast-1"
    assert run.stage == "test"
    assert run.scores() == {"rouge1": 3.0}


def test_files_of_training(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "metrics.csv").write_text("step,train/loss,note\n9,1.5,\n19,nan,x\n", encoding="utf-8")
    (folder / "samples.jsonl").write_text('{"step": 1, "prediction": "a\u2028b"}\n', encoding="utf-8")
    (folder / "constraints.txt").write_text("# versions\ntorch==2.13.0\n", encoding="utf-8")
    digest = "a" * 64
    script = f"started_as=(python -m kosum_pl fit)\nHASHES\n{digest}  train.csv\nHASHES\n"
    (folder / "reproduce.sh").write_text(script, encoding="utf-8")
    run = read_run(folder)
    assert run.log == ({"step": 9.0, "train/loss": 1.5}, {"step": 19.0})
    assert run.samples[0]["prediction"] == "a\u2028b"
    assert run.versions == {"torch": "2.13.0"}
    assert run.data_hashes == {"train.csv": digest}
    assert run.started_as == "python -m kosum_pl fit"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.json", '{"val/loss": 1'),
        ("predictions.jsonl", '{"example_id": "a"}\n'),
        ("metrics.jsonl", "[1]\n"),
        ("config.yaml", "a: [\n"),
        ("drift.json", "3"),
    ],
)
def test_a_broken_file_leaves_a_note(make_run: MakeRun, name: str, text: str) -> None:
    folder = make_run()
    (folder / name).write_text(text, encoding="utf-8")
    assert read_run(folder).notes[0].startswith(f"{name} could not be read: ")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder; give a run directory"):
        read_run(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"is no run: it has no metrics.json, config.yaml or predictions.jsonl"):
        read_run(tmp_path)
