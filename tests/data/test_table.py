from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import DEFAULT_CLEANING, Columns, DialogueTable, count_leakage, make_cleaner
from tests.data.tables import read_table


def load(tmp_path: Path, texts: list[str]) -> DialogueTable:
    path = tmp_path / "rows.jsonl"
    rows = [{"fname": str(i), "dialogue": text, "summary": "요약"} for i, text in enumerate(texts)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return read_table(path, tmp_path / "cache", cleaning=[])


def test_leakage_counts_the_rows_of_validation(tmp_path: Path) -> None:
    train = load(tmp_path, (["가 나", "다", "다", "라"]))
    validation = load(tmp_path, (["가\n나", "다", "마", "다"]))
    assert count_leakage(train, validation) == 3
    assert count_leakage(validation, train) == 3
    assert count_leakage(train, load(tmp_path, (["마"]))) == 0


def test_more_rows_than_a_batch_keep_their_order(tmp_path: Path) -> None:
    texts = [f"#Person1#: {i}" for i in range(1300)]
    table = load(tmp_path, (texts))
    assert list(table.texts()) == texts
    assert [dialogue.text for dialogue in table] == texts
    assert [table[i].text for i in (0, 511, 512, 1299)] == [texts[i] for i in (0, 511, 512, 1299)]
    assert len(table) == 1300


def test_a_table_without_some_rows(tmp_path: Path) -> None:
    texts = [f"#Person1#: {i}" for i in range(1300)]
    dropped = {0: "long", 600: "long", 601: "longer", 1299: "long"}
    expected = [text for i, text in enumerate(texts) if i not in dropped]
    whole = load(tmp_path, texts)
    table = pickle.loads(pickle.dumps(whole.without(dropped)))
    assert len(table) == 1296
    assert list(table.texts()) == [row.text for row in table] == [table[i].text for i in range(1296)] == expected
    assert [row["reason"] for row in table.rejected] == ["long", "long", "longer", "long"]
    assert [row["content"]["example_id"] for row in table.rejected] == ["0", "600", "601", "1299"]
    assert (len(whole), whole.rejected) == (1300, [])
    assert len({whole.fingerprint, table.fingerprint, whole.without({1: "long"}).fingerprint}) == 3
    assert count_leakage(table, whole) == 1296
    again = table.without({0: "long"})
    assert list(again.texts()) == expected[1:]
    labelled = again.with_profile("number", values=[text[-1] for text in expected[1:]])
    assert [row.profile["number"] for row in labelled] == [row.text[-1] for row in labelled]
    with pytest.raises(IndexError, match="row 1296 of a table of 1296 rows"):
        table[1296]


@pytest.mark.parametrize("index", [-1, 2])
def test_a_row_that_is_not_there(tmp_path: Path, index: int) -> None:
    with pytest.raises(IndexError, match=f"row {index} of a table of 2 rows"):
        load(tmp_path, (["가", "나"]))[index]


def test_a_table_reaches_a_worker_without_its_rows(tmp_path: Path) -> None:
    table = load(tmp_path, ([f"#Person1#: {i}" * 50 for i in range(1000)]))
    pickled = pickle.dumps(table)
    assert len(pickled) < 20_000
    assert pickle.loads(pickled)[999] == table[999]


@pytest.mark.shared
def test_real_files_are_read_clean(shared_dir: Path, tmp_path: Path) -> None:
    def read(name: str, **options: Any) -> DialogueTable:
        return read_table(shared_dir / "data" / name, tmp_path, **options)

    train, dev = read("train.csv"), read("dev.csv")
    test = read("test.csv", needs_summary=False)
    assert (len(train), len(dev), len(test)) == (2500, 499, 499)
    clean = make_cleaner(DEFAULT_CLEANING)
    for table in (train, dev, test):
        for dialogue in table:
            assert "\r" not in dialogue.text
            assert "\\n" not in dialogue.text
            assert clean(dialogue.text) == dialogue.text
            assert all(line.startswith("#Person") for line in dialogue.text.split("\n")) or "\n" in dialogue.text
    assert [any(not row.references for row in table) for table in (train, dev, test)] == [False, False, True]
    submission = (shared_dir / "data" / "sample_submission.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [dialogue.example_id for dialogue in test] == [line.split(",")[1] for line in submission]
    assert count_leakage(train, dev) == 0
    columns = Columns(summary=["summary1", "summary2", "summary3"])
    several = read("dev_multiref.jsonl", columns=columns)
    assert count_leakage(dev, several) == 499
    assert {len(dialogue.references) for dialogue in several} == {3}
    assert [dialogue.references[0] for dialogue in several] == [dialogue.references[0] for dialogue in dev]
