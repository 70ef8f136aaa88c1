from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import main
from kosum_pl.decode import DecodingSettings
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import ChatPrompt
from kosum_pl.files import read_json, write_json
from kosum_pl.runs.reproduce import Reproduction

ARGUMENTS = ["--config", "a b.yaml", "--model.prompt", "{user: '{dialogue}\n$HOME'}", "it's"]


DATA = ("train.csv", "a b $(touch hacked)'.csv", "odd\\\nname.csv")
PRESETS = ("configs/presets/mine.yaml", "own preset.yaml", "chat.jinja", "configs/presets/default.yaml")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*DATA, *PRESETS, "start/model.safetensors"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        text = f"fname,dialogue,summary\n1,{len(name)},둘\n" if name in DATA else "num_beams: 4\n"
        Path(name).write_text(text, encoding="utf-8")
    return tmp_path


def write(work: Path, **changes: Any) -> Path:
    regenerator = Regenerator(presets=["own preset.yaml"])
    # `fast` is shipped: it comes with the version.
    decoding = DecodingSettings.load(fit_preset="fast", presets=["mine"], regenerator=regenerator)
    data = {"train_file": [DATA[0], {"path": DATA[1], "weight": 2.0}, DATA[2]], "val_file": "demo:dev.csv"}
    values: dict[str, Any] = {
        "command": "fit",
        "arguments": ARGUMENTS,
        "runs_dir": work / "my runs",
        "config_name": "a b",
        "data": {**data, "test_file": "not_there.csv"},
        "settings_files": [*decoding.preset_files, *ChatPrompt(template_file="chat.jinja").files],
        "start": work / "start",
        **changes,
    }
    Reproduction(**values).write(work / "run")
    return work / "run" / "reproduce.sh"


def bash(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(script), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHON": sys.executable, **environment},
        cwd="/",
        check=False,
    )


def stub(work: Path) -> str:
    """A Python that notes how modules are called instead of running them: pip in one line, the command in many."""
    path = work / "stub"
    note = f'printf \'%s\\n\' "$@" > {work}/called; [[ $2 != pip ]] || echo "$@" > {work}/pip'
    path.write_text(f'#!/bin/bash\nif [[ $1 == -m ]]; then {note}; else exec {sys.executable} "$@"; fi\n')
    path.chmod(0o755)
    return str(path)


def called(work: Path) -> list[str]:
    return (work / "called").read_text(encoding="utf-8").splitlines()


def test_what_is_the_same_runs_in_the_folder_of_then(work: Path) -> None:
    script = write(work)
    assert sorted(path.name for path in script.parent.iterdir()) == ["constraints.txt", "reproduce.sh", "run.json"]
    assert os.access(script, os.X_OK)
    done = bash(script, PYTHON=stub(work))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"started as: {shlex.join(['python', '-m', 'kosum_pl', 'fit', *ARGUMENTS])}\n"
    config = str(work / "run" / "config.yaml")
    options = ["--runs_dir", str(work / "my runs"), "--run_name", "a b"]
    assert called(work) == ["-m", "kosum_pl", "fit", "--config", config, *options]
    assert not (work / "hacked").exists()


def test_an_evaluation_names_its_checkpoint_and_a_resumed_fit_runs_from_its_start(work: Path) -> None:
    best = work / "best.ckpt"
    data = {"test_file": "train.csv", "train_file": "gone.csv"}
    script = write(work, command="test", checkpoint=best, start=None, data=data)
    assert bash(script, PYTHON=stub(work)).returncode == 0
    assert called(work)[-2:] == ["--ckpt_path", str(best)]
    assert bash(write(work, checkpoint=best), PYTHON=stub(work)).returncode == 0
    assert called(work)[-2:] == ["--run_name", "a b"]


def test_a_copied_run_evaluates_its_own_checkpoint_into_its_own_runs(work: Path) -> None:
    for name in ("runs", "copy", "taken/out"):
        run_dir = work / name if name == "taken/out" else work / name / "a b" / "monday"
        if name == "runs":
            run_dir.mkdir(parents=True)
            checkpoint = run_dir / "checkpoints" / "best.ckpt"
            data = {"test_file": "train.csv"}
            reproduction = Reproduction(
                command="test", arguments=ARGUMENTS, runs_dir=work / "runs", config_name="a b", data=data,
                checkpoint=checkpoint,
            )  # fmt: skip
            reproduction.write(run_dir)
        else:
            shutil.copytree(work / "runs" / "a b" / "monday", run_dir)
        assert bash(run_dir / "reproduce.sh", PYTHON=stub(work)).returncode == 0
        runs = run_dir.parent if name == "taken/out" else work / name
        options = ["--runs_dir", str(runs), "--run_name", "a b"]
        assert called(work)[-6:] == [*options, "--ckpt_path", str(run_dir / "checkpoints" / "best.ckpt")]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        *((name, "data files") for name in DATA),
        *((name, "presets or template") for name in PRESETS),
        ("start/model.safetensors", "weights to start from"),
    ],
)
def test_a_changed_file_stops_it(work: Path, name: str, what: str) -> None:
    script = write(work)
    assert not any("fast.yaml" in file for file in read_json(script.with_name("run.json"))["hashes"]["presets"])
    Path(name).write_text("others", encoding="utf-8")
    done = bash(script, PYTHON=stub(work))
    assert done.returncode == 1
    assert f"reproduce.sh: {what} differ from those of the run: " in done.stderr
    assert Path(name).name in done.stderr
    assert not (work / "called").exists()


def test_demo_files_are_named_by_the_demo_and_hub_ids_not_compared(work: Path) -> None:
    script = write(work, data={"train_file": "demo:train.csv", "val_file": "owner/name:validation"}, start=None)
    done = bash(script, "--check")
    assert done.returncode == 0
    assert "val: 'owner/name:validation' comes from a hub and is not compared" in done.stdout
    record = read_json(script.with_name("run.json"))
    assert list(record["hashes"]["data"]) == ["demo:train.csv"]
    record["hashes"]["data"]["demo:train.csv"] = "0"
    write_json(script.with_name("run.json"), record)
    message = "data files of the embedded demo differ from those of the run: demo:train.csv"
    assert message in bash(script, "--check").stderr


def test_another_version_stops_it_unless_allowed(work: Path) -> None:
    script = write(work)
    values = read_json(script.with_name("run.json"))
    values["versions"] |= {"torch": "1.0", "no-such-thing": "2"}
    write_json(script.with_name("run.json"), values)
    done = bash(script, "--check")
    assert done.returncode == 1
    assert "and was 1.0; use --install" in done.stderr
    assert "reproduce.sh: no-such-thing is not installed, and was 2; use --install" in done.stderr
    assert bash(script, "--check", KOSUM_ANY_VERSION="1").returncode == 0


def test_install_takes_the_pins(work: Path) -> None:
    assert bash(write(work), "--install", PYTHON=stub(work)).returncode == 0
    pins = work / "run" / "constraints.txt"
    assert (work / "pip").read_text().startswith(f"-m pip install --constraint {pins} kosum-pl")


@pytest.mark.slow
def test_a_real_run_comes_out_the_same(
    work: Path, cut_demo: Callable[[int, int], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOSUM_RUNS_DIR", raising=False)
    overrides = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    config = {
        "trainer": {"accelerator": "cpu", "max_steps": 4, "val_check_interval": 2, "enable_progress_bar": False},
        "data": {**cut_demo(8, 4), "batch_size": 2},
        "model": {"init_args": {"config_overrides": overrides, "rouge_tokenizer": "space"}},
    }
    (work / "tiny.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    assert main(["fit", "--config", "demo", "--config", "tiny.yaml", "--trainer.num_sanity_val_steps=0"]) == 0
    first = (work / "runs" / "demo" / "latest").resolve()
    shutil.copytree(first, work / "moved")  # out of the runs folder: the new run goes beside the copy
    done = bash(work / "moved" / "reproduce.sh")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (work / "runs" / "demo").iterdir() if not path.is_symlink()] == [first.name]
    second = (work / "demo" / "latest").resolve()
    lines = [(run_dir / "metrics.jsonl").read_text(encoding="utf-8") for run_dir in (first, second)]
    assert lines[0] == lines[1]
    assert json.loads(lines[0].splitlines()[0])["step"] == 2
    assert bash(second / "reproduce.sh", "--check").returncode == 0
