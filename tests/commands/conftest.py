"""A working folder with a tiny config and tiny data, whose summaries hold what a constraint would forbid."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.modules import SummarizationModule

Row = tuple[str, str]
TRAIN: tuple[Row, ...] = (
    ("#Person1#: KTX 타자.\n#Person2#: 네.", "#Person1#은 KTX를 탄다."),
    ("#Person1#: 카페 가자.", "Jimmy가 café에 간다."),
    ("#Person1#: 회의가 있다.", "會議는 café에서 한다. 그 café다."),
    ("#Person1#: 밥 먹자.", "뷁을 먹는다."),
)
VAL: tuple[Row, ...] = (
    ("#Person1#: KTX와 UFO.", "KTX와 UFO를 본다."),
    ("#Person1#: 가자.", "é!"),
)
CONFIG: dict[str, Any] = {
    "trainer": {"callbacks": [{"class_path": "RougeSumCheckpoint"}]},
    "model": {
        "class_path": "Seq2SeqModule",
        "init_args": {"model_name": "demo:bart", "constraint": {"kind": "automaton"}},
    },
    "data": {"train_file": "train.csv", "val_file": "dev.csv", "batch_size": 2},
}


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["fname", "dialogue", "summary", "topic"])
        writer.writerows([f"{path.stem}_{number}", *row, "일상"] for number, row in enumerate(rows))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with `tiny.yaml`."""
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "train.csv", TRAIN)
    write_rows(tmp_path / "dev.csv", VAL)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return tmp_path


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a command that asks for weights."""

    def fail(self: SummarizationModule) -> None:
        raise AssertionError("weights were asked for")

    monkeypatch.setattr(SummarizationModule, "configure_model", fail)
