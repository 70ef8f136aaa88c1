"""Personal numbers in a report become tags: each kind in its spellings, and nowhere on the page is one left."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.__main__ import main
from kosum_pl.report.redact import redact, redact_all
from tests.report.run_folders import row

MakeRun = Callable[..., Path]
FOUND = {
    "#PhoneNumber#": [
        *("010-1234-5678", "01012345678", "010 1234 5678", "010.123.4567", "011-123-4567", "02-123-4567"),
        *("031-1234-5678", "070-1234-5678", "(02) 123-4567", "+82-10-1234-5678", "+82 10 1234 5678", "1588-1234"),
        *("０１０－１２３４－５６７８", "010–1234–5678", "0505-123-4567"),
    ],
    "#SSN#": ["900101-1234567", "9001011234567", "900101 - 1234567", "051231-3******", "９００１０１－１２３４５６７"],
    "#CardNumber#": ["1234-5678-1234-5678", "1234 5678 1234 5678", "1234567812345678", "3712-123456-12345"],
    "#Email#": ["kim@example.com", "a.b+c@mail.example.co.kr", "ｋｉｍ＠example.com"],
}


@pytest.mark.parametrize(("tag", "text"), [(tag, text) for tag, texts in FOUND.items() for text in texts])
def test_each_spelling_becomes_its_tag(tag: str, text: str) -> None:
    assert redact(f"번호는 {text}입니다.") == f"번호는 {tag}입니다."
    assert redact(text) == tag


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-29 15:30",
        "119,600원",
        "1,234,567,890",
        "#Person1#: 7시 30분",
        "A-1234",
        "서울시 강남구 12-3",
        "1/2",
        "@지민",
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert redact(text) == text


@given(st.text())
def test_redacting_twice_is_redacting_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_values_of_every_shape(make_run: MakeRun) -> None:
    values = {"010-1234-5678": ["kim@example.com", ("900101-1234567", 1.5, None)]}
    assert redact_all(values) == {"#PhoneNumber#": ["#Email#", ("#SSN#", 1.5, None)]}


SLICES = "slice,num_rows,score,value,low,high,difference\nall,4,rouge_sum,1,,,0\n"
SECRETS = ("010-1234-5678", "900101-1234567", "kim@example.com", "1234-5678-1234-5678")


def secret_run(make_run: MakeRun, name: str) -> Path:
    """A run with secrets in everything that a page shows."""
    said = " / ".join(SECRETS)
    rows = [
        row(number, text=f"{number} {said}", reference=f"{number} 참조 {said}", raw_text=f"雨 {said} {number}")
        | {"dialogue": f"#Person1#: {said} {number}", "profile": {"topic": said}, "slots": [said]}
        | {"example_id": f"{number} {said}", "reached_eos": number > 0}
        for number in range(4)
    ]
    sample = {"step": 1, "epoch": 0, "example_id": said, "dialogue": said, "reference": said, "prediction": said}
    scores = {"val/rouge_sum": 100.0, "val/rouge1": 50.0, f"val/rouge_sum/topic={said}": 90.0}
    record = {
        "schema_version": 1,
        "command": "fit",
        "arguments": ["--data.train_file", f"{said}.csv"],
        "hashes": {"data": {said: "0" * 64}},
    }
    files: dict[str, Any] = {
        "config.yaml": f"data:\n  train_file: {said}.csv\nlineage:\n- run: {said}\n",
        "samples.jsonl": [sample, {**sample, "step": 2}],
        "metrics.jsonl": [{"step": 1, "epoch": 0, "val/loss": 1.0, **scores}],
        "slices.csv": SLICES + f"topic={said},4,rouge_sum,1,,,0\n",
        "drift.json": {"splits": [], "topics": [said], "notes": [said]},
        "run.json": record,
    }
    return make_run(name, rows, files, **scores)


@pytest.mark.parametrize("number", [1, 2])
def test_no_secret_is_left_in_the_page_or_its_summary(make_run: MakeRun, tmp_path: Path, number: int) -> None:
    folders = [secret_run(make_run, f"demo/{SECRETS[2]}-{name}") for name in "ab"[:number]]
    words = [*map(str, folders), "--output", str(tmp_path / "a.html"), "--markdown", str(tmp_path / "a.md")]
    assert main(["report", *words]) == 0
    plain = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert all(secret in plain for secret in SECRETS)
    assert main(["report", *words, "--redact"]) == 0
    page, summary = ((tmp_path / name).read_text(encoding="utf-8") for name in ("a.html", "a.md"))
    for secret in SECRETS:
        # Neither as it is nor in pieces: markup and escapes taken out.
        for text in (page, summary, re.sub(r"<[^>]*>", "", page), page.replace("\\", ""), summary.replace("\\", "")):
            assert secret not in text
    assert page.count("#PhoneNumber#") > 20
    block = re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert block is not None
    data = json.loads(block[1])
    assert data["rows"][0]["d"] == "#Person1#: #PhoneNumber# / #SSN# / #Email# / #CardNumber# 0"
    assert "could not be read" not in page
