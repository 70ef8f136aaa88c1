"""The lead-1 baseline."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kosum_pl.metrics import lead_summary
from kosum_pl.types import TAG_PATTERN


@pytest.mark.parametrize(
    ("dialogue", "lead"),
    [
        ("#Person1#: 안녕하세요!\n#Person2#: 네.", "안녕하세요!"),
        ("#Person1#:안녕", "안녕"),
        ("#Person1# : 안녕", "안녕"),
        ("#Person1#：안녕", "안녕"),
        ("#Person1#: 가격: 3만 원", "가격: 3만 원"),
        ("민수: 안녕", "안녕"),
        ("김 과장: 안녕", "안녕"),
        ("민수:\n지우: 안녕", "안녕"),
        ("#Person1#:\n\n#Person2#: #Person1#, 왔어?", "#Person1#, 왔어?"),
        ("오후 3:30에 보자", "오후 3:30에 보자"),
        ("3: 안녕", "3: 안녕"),
        ("\n 이름 없이 말한다 \n", "이름 없이 말한다"),
    ],
)
def test_first_words(dialogue: str, lead: str) -> None:
    assert lead_summary(dialogue) == lead


@pytest.mark.parametrize("dialogue", ["", " \n", "#Person1#:\n#Person2#: "])
def test_a_dialogue_without_words(dialogue: str) -> None:
    with pytest.raises(ValueError, match=r"^the dialogue has no words"):
        lead_summary(dialogue)


@pytest.mark.shared
def test_real_dialogues(shared_dir: Path) -> None:
    with (shared_dir / "data" / "dev.csv").open(encoding="utf-8", newline="") as file:
        dialogues = [row["dialogue"].replace("\r\n", "\n") for row in csv.DictReader(file)]
    for dialogue in dialogues:
        lead = lead_summary(dialogue)
        assert lead in dialogue.split("\n")[0]
        assert not TAG_PATTERN.match(lead) or dialogue.count(lead)
        assert not lead.startswith(("#Person1#:", "#Person2#:", ":"))
