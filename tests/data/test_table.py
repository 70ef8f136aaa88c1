from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import DialogueTable, count_leakage, make_cleaner, read_dialogues, write_rejected
from kosum_pl.data.read.columns import Columns


def load(tmp_path: Path, rows: list[tuple[str, str, str]], **options: Any) -> DialogueTable:
    path = tmp_path / "rows.jsonl"
    keys = ("fname", "dialogue", "summary")
    path.write_text("\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows), encoding="utf-8")
    settings: dict[str, Any] = {
        "cleaning": [],
        "on_bad_rows": "error",
        "needs_summary": True,
        "split": "train",
        **options,
    }
    return read_dialogues(str(path), columns=Columns(), cache_dir=tmp_path / "cache", **settings)


def numbered(texts: list[str]) -> list[tuple[str, str, str]]:
    return [(str(i), text, "요약") for i, text in enumerate(texts)]


def test_leakage_counts_the_rows_of_validation(tmp_path: Path) -> None:
    train = load(tmp_path, numbered(["가 나", "다", "다", "라"]))
    validation = load(tmp_path, numbered(["가\n나", "다", "마", "다"]))
    assert count_leakage(train, validation) == 3
    assert count_leakage(validation, train) == 3
    assert count_leakage(train, load(tmp_path, numbered(["마"]))) == 0


def test_more_rows_than_a_batch_keep_their_order(tmp_path: Path) -> None:
    texts = [f"#Person1#: {i}" for i in range(1300)]
    table = load(tmp_path, numbered(texts))
    assert list(table.texts()) == texts
    assert [dialogue.text for dialogue in table] == texts
    assert [table[i].text for i in (0, 511, 512, 1299)] == [texts[i] for i in (0, 511, 512, 1299)]
    assert len(table) == 1300


@pytest.mark.parametrize("index", [-1, 2])
def test_a_row_that_is_not_there(tmp_path: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"row {index} of a table of 2 rows"):
        load(tmp_path, numbered(["가", "나"]))[index]


def test_a_table_reaches_a_worker_without_its_rows(tmp_path: Path) -> None:
    table = load(tmp_path, numbered([f"#Person1#: {i}" * 50 for i in range(1000)]))
    pickled = pickle.dumps(table)
    assert len(pickled) < 20_000
    assert pickle.loads(pickled)[999] == table[999]


def test_rejected_rows_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    table = load(tmp_path, [*numbered(["가"]), ("b", "나", " ")], on_bad_rows="drop")
    path = tmp_path / "run" / "rejected.jsonl"
    path.parent.mkdir()
    path.write_text("old")
    write_rejected(table, path)
    (record,) = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert record == {
        "file": str(tmp_path / "rows.jsonl"),
        "row": 2,
        "line": 2,
        "column": "summary",
        "reason": "column 'summary' is empty",
        "content": {"fname": "b", "dialogue": "나", "summary": " "},
    }
    assert [file.name for file in path.parent.iterdir()] == ["rejected.jsonl"]


@pytest.mark.shared
def test_real_files_are_read_clean(shared_dir: Path, tmp_path: Path) -> None:
    def read(name: str, *, needs_summary: bool, columns: Columns | None = None) -> DialogueTable:
        return read_dialogues(
            str(shared_dir / "data" / name),
            columns=columns or Columns(),
            cleaning=["line_ends", "literal_newlines", "br_tags", "spaces", "nfc"],
            on_bad_rows="error",
            needs_summary=needs_summary,
            cache_dir=tmp_path,
            split="train",
        )

    train, dev = read("train.csv", needs_summary=True), read("dev.csv", needs_summary=True)
    test = read("test.csv", needs_summary=False)
    assert (len(train), len(dev), len(test)) == (2500, 499, 499)
    clean = make_cleaner(["line_ends", "literal_newlines", "br_tags", "spaces", "nfc"])
    for table in (train, dev, test):
        for dialogue in table:
            assert "\r" not in dialogue.text
            assert "\\n" not in dialogue.text
            assert clean(dialogue.text) == dialogue.text
            assert all(line.startswith("#Person") for line in dialogue.text.split("\n")) or "\n" in dialogue.text
    assert (train.has_references, dev.has_references, test.has_references) == (True, True, False)
    submission = (shared_dir / "data" / "sample_submission.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [dialogue.example_id for dialogue in test] == [line.split(",")[1] for line in submission]
    assert count_leakage(train, dev) == 0
    columns = Columns(summary=["summary1", "summary2", "summary3"])
    several = read("dev_multiref.jsonl", needs_summary=True, columns=columns)
    assert count_leakage(dev, several) == 499
    assert {len(dialogue.references) for dialogue in several} == {3}
    assert [dialogue.references[0] for dialogue in several] == [dialogue.references[0] for dialogue in dev]
