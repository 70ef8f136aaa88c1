"""Two resumes of one run at once: the second is refused before it touches anything."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import EXIT_INTERRUPTED, main
from kosum_pl.runs.files import LOCK_FILE
from kosum_pl.runs.recorder import RunRecorder
from tests.error_lines import error_line
from tests.tiny_config import tiny_config

CONFIG = tiny_config(
    trainer={"max_steps": 2, "val_check_interval": 2, "log_every_n_steps": 1},
    model={"rouge_tokenizer": "space"},
    data={},
)
FIT = ("fit", "--config", "tiny.yaml")
HOLDER = """
import sys
from pathlib import Path
from kosum_pl.runs.lock import hold_run

with hold_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_demo: Callable[[int, int], dict[str, str]]) -> Path:
    """A run of two steps."""
    monkeypatch.chdir(tmp_path)
    cut_demo(8, 2)
    Path("tiny_preset.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    Path("tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    assert main(FIT) == 0
    return Path("runs/tiny/latest").resolve()


def test_a_second_fit_is_refused_and_an_evaluation_is_not(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not (run_dir / LOCK_FILE).exists()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    before = files(run_dir)
    line = error_line(capsys, *FIT, "--ckpt_path", "last", "--trainer.max_steps", "4")
    head = f"run {run_dir} is being trained by process {process.pid} on host {platform.node()} since "
    assert line.startswith(head)
    assert line.endswith("; wait until it ends, or stop it")
    assert files(run_dir) == before
    assert main(["validate", "--config", "tiny.yaml", "--ckpt_path", "last"]) == 0
    assert (run_dir / LOCK_FILE).exists()
    process.kill()
    process.communicate()
    capsys.readouterr()
    assert main([*FIT, "--ckpt_path", "last", "--trainer.max_steps", "4"]) == 0
    assert f"process {process.pid} on host {platform.node()} since " in capsys.readouterr().err
    assert not (run_dir / LOCK_FILE).exists()
    lines = (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [2, 4]


def test_the_lock_is_there_while_fit_trains_and_goes_however_it_ends(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    errors: list[type[BaseException]] = [KeyboardInterrupt, LookupError]

    def stop(*_: object) -> None:
        seen.append(json.loads((run_dir / LOCK_FILE).read_text(encoding="utf-8")))
        raise errors[len(seen) - 1]

    monkeypatch.setattr(RunRecorder, "on_train_start", stop)
    resume = [*FIT, "--ckpt_path", "last", "--trainer.max_steps", "4"]
    assert main(resume) == EXIT_INTERRUPTED
    assert not (run_dir / LOCK_FILE).exists()
    with pytest.raises(LookupError):
        main(resume)
    assert not (run_dir / LOCK_FILE).exists()
    assert [(values["host"], values["pid"]) for values in seen] == [(platform.node(), os.getpid())] * 2
