from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.data.read.source import find_sources, hash_source
from tests.data.tables import error_line


def find(source: object) -> list[object]:
    return list(find_sources(source, argument="data.train_file"))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name in ("b.csv", "a.csv", ".hidden.csv", "README.md"):
        (tmp_path / "data" / name).write_text("x\n")
    return tmp_path


def test_entries_keep_order_and_weights(folder: Path) -> None:
    found = find_sources(["data/b.csv", {"path": "data/a.csv", "weight": 2}], argument="data.train_file")
    assert [(entry.name, entry.format, entry.weight) for entry in found] == [
        ("data/b.csv", "csv", 1.0),
        ("data/a.csv", "csv", 2.0),
    ]


def test_a_hub_id_is_no_path(folder: Path) -> None:
    (source,) = find_sources("owner/name-v1.0:train", argument="data.train_file")
    assert (source.format, source.files, source.file_names) == ("hub", (), ("owner/name-v1.0:train",))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "data.train_file is an empty list; name at least one file"),
        ("demo:none.csv", "demo:none.csv: no such file or folder; "),
        ("none.csv", "none.csv: no such file or folder; {cwd} holds no data file; check data.train_file"),
        ("data/c.csv", "data/c.csv: no such file or folder; {cwd}/data holds a.csv, b.csv; "),
        ("x/y/c.csv", "x/y/c.csv: no such file or folder; the folder x/y does not exist (working folder: {cwd}); "),
        ("data/README.md", "data/README.md: unknown file ending '.md'; known: .csv, .tsv, .json, .jsonl, .parquet; "),
        ("empty.csv", "empty.csv: the file is empty; write a header and rows into it, or check data.train_file"),
        ("void", "void: no file in this folder ends in .csv, .tsv, .json, .jsonl, .parquet; check data.train_file"),
        ("mixed", "mixed: the shards are of different formats (a.csv and b.jsonl); keep one format in a folder"),
        ([{"file": "a"}], "data.train_file: '{{'file': 'a'}}' is neither a path nor {{path: ..., weight: ...}}; "),
        ({"path": "data/a.csv", "weight": 0}, "data.train_file: weight 0 of 'data/a.csv' is not a positive number; "),
        (
            {"path": "data/a.csv", "format": "vtt"},
            "data.train_file: unknown format 'vtt' of 'data/a.csv'; known: csv, ",
        ),
        ({"path": "data/a.csv", "weight": "2"}, "data.train_file: weight '2' of 'data/a.csv' is not a positive number"),
    ],
)
def test_a_wrong_path_gets_one_line(folder: Path, source: object, message: str) -> None:
    (folder / "empty.csv").touch()
    (folder / "void").mkdir()
    (folder / "mixed").mkdir()
    (folder / "mixed" / "a.csv").write_text("x\n")
    (folder / "mixed" / "b.jsonl").write_text("{}\n")
    if source == "none.csv":
        (folder / "empty.csv").unlink()
    assert error_line(lambda: find(source)).startswith(message.format(cwd=folder))


def test_the_hash_follows_contents_not_names_or_dates(tmp_path: Path) -> None:
    for name, text in (("a.csv", "x\n1\n"), ("b.csv", "x\n1\n"), ("c.csv", "x\n2\n"), ("d.jsonl", "x\n1\n")):
        (tmp_path / name).write_text(text)
    a, b, c, d = (
        hash_source(find_sources(str(tmp_path / name), argument="")[0])
        for name in ("a.csv", "b.csv", "c.csv", "d.jsonl")
    )
    assert a == b
    assert len({a, c, d}) == 3
