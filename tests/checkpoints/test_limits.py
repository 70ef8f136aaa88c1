"""Limits that a run measured: kept with it, and used by whoever goes on with it, evaluates or exports it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from kosum_pl.__main__ import main
from kosum_pl.checkpoints.limits import run_limits
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import load_parts
from kosum_pl.files import read_json
from tests.data.tables import error_line
from tests.tiny_config import tiny_config

AUTO = {"max_source_tokens": "auto", "max_summary_tokens": {"auto_up_to": 40}}
CONFIG = tiny_config(
    preset="short.yaml",
    trainer={"max_steps": 2, "val_check_interval": 2, "num_sanity_val_steps": 0},
    model={"rouge_tokenizer": "space"},
    data={"predict_file": "dev.csv", **AUTO},
)
TAKEN = "max_source_tokens auto: {}, max_summary_tokens auto: {}, as in the checkpoint's fit; train is not measured"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_demo: Callable[[int, int], dict[str, str]]) -> Path:
    """A folder with a config whose limits are `auto`, 40 rows of train and 4 of val."""
    monkeypatch.chdir(tmp_path)
    cut_demo(40, 4)
    (tmp_path / "short.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return tmp_path


def run(command: str, *arguments: str) -> int:
    return main([command, "--config", "tiny.yaml", *arguments])


def lengthen(path: Path) -> None:
    """Every dialogue four times over."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "dialogue": "\n".join([row["dialogue"]] * 4)} for row in rows)


def limits_of(folder: Path) -> tuple[Any, Any]:
    data = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["data"]
    return data["max_source_tokens"], data["max_summary_tokens"]


def test_a_run_keeps_its_limits_whatever_becomes_of_train(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit") == 0
    run_dir = (work / "runs" / "tiny" / "latest").resolve()
    said = capsys.readouterr().out
    numbers = limits_of(run_dir)
    assert numbers[1] == 40
    assert f"max_source_tokens auto: {numbers[0]} holds " in said
    taken = TAKEN.format(*numbers)

    # On with the run: nothing is measured, and the copy of the config says the numbers.
    assert run("fit", "--ckpt_path", "last", "--trainer.max_steps", "4") == 0
    out, err = capsys.readouterr()
    assert taken in err
    assert " holds " not in out
    assert limits_of(run_dir) == numbers

    lengthen(work / "train.csv")
    for command in ("validate", "predict"):
        assert run(command, "--ckpt_path", "best") == 0
        assert taken in capsys.readouterr().err
    folders = list((run_dir / "eval").iterdir())
    assert [limits_of(folder) for folder in folders] == [numbers, numbers]

    # A checkpoint says it by itself, wherever it lies, and without train.
    checkpoint = work / "moved.ckpt"
    shutil.copy(next((run_dir / "checkpoints").glob("*.ckpt")), checkpoint)
    assert run_limits({**AUTO}, checkpoint=checkpoint) == dict(zip(AUTO, numbers, strict=True))
    assert run_limits({**AUTO, "max_source_tokens": 96}, checkpoint=checkpoint) == {"max_summary_tokens": 40}
    assert run("predict", "--ckpt_path", str(checkpoint), "--data.train_file", "null") == 0
    parts = load_parts(read_arguments("tune", ["--config", "tiny.yaml", "--ckpt_path", str(checkpoint)]))
    assert (parts.datamodule.limits.max_source_tokens, parts.datamodule.limits.max_summary_tokens) == numbers
    assert run("export", "--ckpt_path", "best", "--output", "exported", "--sample", "0") == 0
    limits = read_json(work / "exported" / "kosum.json")["inference"]["limits"]
    assert (limits["max_source_tokens"], limits["max_summary_tokens"]) == numbers
    capsys.readouterr()

    # A new run measures anew.
    assert run("fit", "--init_from", str(run_dir)) == 0
    assert limits_of(work / "runs" / "tiny" / "latest")[0] > numbers[0]


def test_who_has_neither_run_nor_train_gets_one_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("predict", "--data.train_file", "null") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == (
        "kosum_pl: error: data.max_source_tokens and data.max_summary_tokens: auto is measured on train, and "
        "data.train_file is not set; set it, give a number, or a run's checkpoint"
    )
    assert run("plan", "--data.train_file", "null") == 2
    assert "auto is measured on train, which was not read; give a number or {auto_up_to: NUMBER}" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("value", ["automatic", "{auto_upto: 9}", "{auto_up_to: 2.5}", "[9]"])
def test_a_value_that_means_nothing_is_one_line(work: Path, capsys: pytest.CaptureFixture[str], value: str) -> None:
    assert run("fit", "--data.max_source_tokens", value) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "data.max_source_tokens" in line
    assert not (work / "runs").exists()


def test_a_checkpoint_that_does_not_say_it(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "bare.ckpt")
    assert run_limits({"max_source_tokens": 9, "max_summary_tokens": 9}, checkpoint=tmp_path / "bare.ckpt") == {}
    assert error_line(lambda: run_limits({**AUTO}, checkpoint=tmp_path / "bare.ckpt")) == (
        f"data.max_source_tokens is auto, and {tmp_path / 'bare.ckpt'} does not say the number of its fit; give it "
        "with --data.max_source_tokens"
    )
