"""A `run.json` that cannot be read stops nothing that does not need it, and is said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kosum_pl.__main__ import main
from tests.bad_inputs.row import lay_out

TORN = {
    "half": '{"schema_version": 1, "state": "do',
    "a list": "[1, 2]",
    "of other kinds": '{"schema_version": 1, "lineage": 5, "hashes": ["a"], "arguments": [[]]}',
}


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of two steps, in the working folder."""
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    assert main(["fit", "--config", "tiny.yaml"]) == 0
    return Path("runs/tiny/latest").resolve()


def warnings(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """What a command that succeeds says of `run.json`."""
    capsys.readouterr()
    assert main([*words, "--config", "tiny.yaml"]) == 0
    return [line for line in capsys.readouterr().err.splitlines() if "run.json" in line]


def test_a_torn_record_is_one_line(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, last = run_dir / "run.json", str(run_dir / "checkpoints" / "last.ckpt")
    whole = record.read_text(encoding="utf-8")
    assert warnings(capsys, "validate", "--ckpt_path", last) == []
    for content in TORN.values():
        record.write_text(content, encoding="utf-8")
        (line,) = warnings(capsys, "validate", "--ckpt_path", last)
        assert line.startswith(f"kosum_pl: warning: {record} cannot be read (")
        assert line.endswith("copy the run once more, or delete that file")
        assert record.read_text(encoding="utf-8") == content
        evaluation = max((run_dir / "eval").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
        assert json.loads((evaluation / "run.json").read_text(encoding="utf-8"))["state"] == "done"
    (line,) = warnings(capsys, "fit", "--init_from", last)
    assert line.endswith("copy the run once more, or delete that file")
    (line,) = warnings(capsys, "fit", "--ckpt_path", last, "--trainer.max_steps", "4")
    assert line.endswith("fit writes it anew")
    assert json.loads(record.read_text(encoding="utf-8")).keys() == json.loads(whole).keys()
    assert warnings(capsys, "validate", "--ckpt_path", last) == []
