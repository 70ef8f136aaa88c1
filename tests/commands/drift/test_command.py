"""The command on the demo: what it says, writes and refuses; and topic clusters through a config."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import yaml

from kosum_pl.__main__ import main
from kosum_pl.drift.compare import compare
from kosum_pl.drift.plot import draw
from kosum_pl.lookup import find_config, resolve_path
from kosum_pl.types import Dialogue
from tests.error_lines import error_line

pytestmark = pytest.mark.usefixtures("no_weights")


def rows_of(split: str) -> list[dict[str, str]]:
    with Path(resolve_path(f"demo:{split}.csv")).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_demo_s_words_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--json", "out.json", "--plot", "out.svg", "--data.topics.num_clusters", "4"]
    assert main(["drift", "--config", "demo", *arguments]) == 0
    values: dict[str, Any] = json.loads(Path("out.json").read_text(encoding="utf-8"))
    assert [split["name"] for split in values["splits"]] == ["val", "test"]
    train, test = rows_of("train"), rows_of("test")
    share = sum(row["weekday"] == "7" for row in train) / len(train)
    assert {row["weekday"] for row in test} == {"7"}
    words = values["splits"][1]["words"]
    assert words[0] == f"test holds only weekday 7; {100 * share:.0f} % of train does"
    lengths = [median(len(row["dialogue"]) for row in rows) for rows in (test, train)]
    assert (
        f"dialogues of test are {lengths[0] / lengths[1]:.1f} times as long "
        f"(median {lengths[0]:.0f} characters against {lengths[1]:.0f})" in words
    )
    assert [topic["name"] for topic in values["topics"]] == ["topic1", "topic2", "topic3", "topic4"]
    assert sum(topic["num_rows"] for topic in values["topics"]) == len(train)
    out = capsys.readouterr().out
    assert f"- {words[0]}" in out
    assert f"topic1 ({values['topics'][0]['num_rows']:,} rows of train): " in out
    assert "predict: the dialogues of test once more, not compared again" in out
    assert Path("out.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_labels_without_a_font_are_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kosum_pl.drift.plot._KOREAN_FONTS", ())
    rows = [
        Dialogue(example_id=str(n), text="네", profile={"topic": ["여행", "음식", "US$"][n % 3], "요일": "7"})
        for n in range(30)
    ]
    legend = draw([compare(rows, other=rows[:15])], path=tmp_path / "a.png")
    assert set(legend) == {"topic 1", "topic 2", "column 1"}
    assert {legend["topic 1"], legend["topic 2"]} == {"여행", "음식"}
    assert legend["column 1"] == "요일"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_split_alone_and_wrong_options_are_one_line(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--data.val_file", "null"], "train stands alone"),
        (["--data.topics.num_clusters", "8"], "4 rows of train have a dialogue for 8 clusters"),
        (["--data.topics.file", "none.json"], "none.json: cannot be read"),
    ):
        assert message in error_line(capsys, "drift", "--config", "tiny.yaml", *arguments)


def test_the_worked_example_is_a_preset_by_topic_cluster() -> None:
    values = yaml.safe_load(find_config("topics", "presets").read_text(encoding="utf-8"))
    assert values["when"] == {"topic_cluster": ["topic2", "topic5"]}


def test_the_same_dialogues_under_another_name_are_compared_once(work: Path) -> None:
    shutil.copy(work / "dev.csv", work / "more.csv")
    assert main(["drift", "--config", "tiny.yaml", "--data.predict_file", "more.csv", "--json", "a.json"]) == 0
    values = json.loads(Path("a.json").read_text(encoding="utf-8"))
    assert [split["name"] for split in values["splits"]] == ["val"]
    assert not (work / "topics.json").exists()
    assert values["topics"] is None
    assert values["splits"][0]["words"] == ["no drift worth a word between train and val"]
