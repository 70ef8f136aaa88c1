from __future__ import annotations

import json
import os
import re
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
from kosum_pl.runs.reproduce import Reproduction

ARGUMENTS = ["--config", "a b.yaml", "--model.prompt", "{user: '{dialogue}\n$HOME'}", "it's"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "a b $(touch hacked)'", "odd\\\nname"):
        Path(f"{name}.csv").write_text(f"fname,dialogue,summary\n1,{len(name)},둘\n", encoding="utf-8")
    Path("start").mkdir()
    Path("start/model.safetensors").write_bytes(b"weights")
    return tmp_path


def write(work: Path, **changes: Any) -> Path:
    data = {
        "train_file": ["train.csv", {"path": "a b $(touch hacked)'.csv", "weight": 2.0}, "odd\\\nname.csv"],
        "val_file": "demo:dev.csv",
        "test_file": "not_there.csv",
    }
    values: dict[str, Any] = {
        "command": "fit",
        "arguments": ARGUMENTS,
        "runs_dir": work / "my runs",
        "config_name": "a b",
        "data": data,
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


def record(script: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(script.with_name("run.json").read_text(encoding="utf-8"))
    return values


def stub(work: Path) -> str:
    """A Python that notes how the last command is called instead of training."""
    path = work / "stub"
    note = f"printf '%s\\n' \"$@\" > {work}/called"
    path.write_text(f'#!/bin/bash\nif [[ $1 == -m ]]; then {note}; else exec {sys.executable} "$@"; fi\n')
    path.chmod(0o755)
    return str(path)


def test_the_script_is_executable_and_bash_reads_it(work: Path) -> None:
    script = write(work)
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert sorted(path.name for path in script.parent.iterdir()) == ["constraints.txt", "reproduce.sh", "run.json"]


def test_what_is_the_same_runs_in_the_folder_of_then(work: Path) -> None:
    script = write(work)
    done = bash(script, PYTHON=stub(work))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"started as: {shlex.join(['python', '-m', 'kosum_pl', 'fit', *ARGUMENTS])}\n"
    config = str(work / "run" / "config.yaml")
    options = ["--runs_dir", str(work / "my runs"), "--run_name", "a b"]
    assert called(work) == ["-m", "kosum_pl", "fit", "--config", config, *options]
    assert not (work / "hacked").exists()


def test_an_evaluation_names_its_checkpoint_and_a_resumed_fit_runs_from_its_start(work: Path) -> None:
    data = {"test_file": "train.csv", "train_file": "gone.csv"}
    for command, tail in (("test", ["--ckpt_path", str(work / "best.ckpt")]), ("fit", ["--run_name", "a b"])):
        script = write(
            work,
            command=command,
            checkpoint=work / "best.ckpt",
            start=None,
            **({"data": data} if tail[0] == "--ckpt_path" else {}),
        )
        assert bash(script, PYTHON=stub(work)).returncode == 0
        assert called(work)[-2:] == tail


def called(work: Path) -> list[str]:
    return (work / "called").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", ["train.csv", "a b $(touch hacked)'.csv", "odd\\\nname.csv"])
def test_a_changed_data_file_stops_it(work: Path, name: str) -> None:
    script = write(work)
    Path(name).write_text(Path(name).read_text() + "\n")
    done = bash(script, PYTHON=stub(work))
    assert done.returncode == 1
    assert "reproduce.sh: data files differ from those of the run" in done.stderr
    assert not (work / "called").exists()


def test_changed_weights_stop_it(work: Path) -> None:
    script = write(work)
    Path("start/model.safetensors").write_bytes(b"others")
    done = bash(script, "--check")
    assert done.returncode == 1
    assert "reproduce.sh: weights to start from differ" in done.stderr


@pytest.mark.parametrize(
    "name", ["configs/presets/mine.yaml", "own preset.yaml", "chat.jinja", "configs/presets/default.yaml"]
)
def test_a_changed_preset_or_template_stops_it(work: Path, name: str) -> None:
    Path("configs/presets").mkdir(parents=True)
    for file in ("configs/presets/mine.yaml", "own preset.yaml", "chat.jinja", "configs/presets/default.yaml"):
        Path(file).write_text("num_beams: 4\n", encoding="utf-8")
    regenerator = Regenerator(presets=["own preset.yaml"])
    # `fast` is shipped: it comes with the version.
    decoding = DecodingSettings.load(fit_preset="fast", presets=["mine"], regenerator=regenerator)
    script = write(work, settings_files=[*decoding.preset_files, *ChatPrompt(template_file="chat.jinja").files])
    assert not any("fast.yaml" in file for file in record(script)["hashes"]["presets"])
    assert bash(script, "--check").returncode == 0
    Path(name).write_text("num_beams: 2\n", encoding="utf-8")
    done = bash(script, "--check")
    assert done.returncode == 1
    assert "reproduce.sh: presets or template differ from those of the run" in done.stderr


def test_demo_files_are_named_by_the_demo_and_hub_ids_not_compared(work: Path) -> None:
    script = write(work, data={"train_file": "demo:train.csv", "val_file": "owner/name:validation"}, start=None)
    assert list(record(script)["hashes"]["data"]) == ["demo:train.csv"]
    done = bash(script, "--check")
    assert (done.returncode, "val: 'owner/name:validation' comes from a hub and is not compared" in done.stdout) == (
        0,
        True,
    )
    path = script.with_name("run.json")
    path.write_text(
        re.sub('"demo:train.csv": "[0-9a-f]{64}"', '"demo:train.csv": ""', path.read_text(encoding="utf-8"))
    )
    assert (
        "data files of the embedded demo differ from those of the run: demo:train.csv" in bash(script, "--check").stderr
    )


def test_another_version_stops_it_unless_allowed(work: Path) -> None:
    script = write(work)
    values = record(script)
    values["versions"] |= {"torch": "1.0", "no-such-thing": "2"}
    script.with_name("run.json").write_text(json.dumps(values), encoding="utf-8")
    done = bash(script, "--check")
    assert done.returncode == 1
    assert "and was 1.0; use --install" in done.stderr
    assert "reproduce.sh: no-such-thing is not installed, and was 2; use --install" in done.stderr
    assert bash(script, "--check", KOSUM_ANY_VERSION="1").returncode == 0


def test_install_takes_the_pins(work: Path) -> None:
    script = write(work)
    path = work / "stub"
    path.write_text(
        f'#!/bin/bash\nif [[ $1 == -m ]]; then echo "$@" >> {work}/called; else exec {sys.executable} "$@"; fi\n'
    )
    path.chmod(0o755)
    assert bash(script, "--install", PYTHON=str(path)).returncode == 0
    install = called(work)[0]
    assert install.startswith(f"-m pip install --constraint {work / 'run' / 'constraints.txt'} kosum-pl")


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
    shutil.copytree(first, work / "moved")  # where nothing but the script says whose run it was
    done = bash(work / "moved" / "reproduce.sh")
    assert done.returncode == 0, done.stderr
    second = (work / "runs" / "demo" / "latest").resolve()
    assert second != first
    lines = [(run_dir / "metrics.jsonl").read_text(encoding="utf-8") for run_dir in (first, second)]
    assert lines[0] == lines[1]
    assert json.loads(lines[0].splitlines()[0])["step"] == 2
    assert bash(second / "reproduce.sh", "--check").returncode == 0
