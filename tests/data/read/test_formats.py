from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.data.read import json_rows
from kosum_pl.data.read.formats import READERS, open_rows
from kosum_pl.data.read.row import RawRow, RowStream
from tests.data.tables import error_line, read_table

TEXT = '#Person1#: 안녕, "친구"{}\n#Person2#: 응'
ROWS = [{"fname": f"d_{i}", "dialogue": TEXT.format(i), "summary": "인사.", "weekday": i % 7 + 1} for i in range(5)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix in (".csv", ".tsv"):
        mark = "," if path.suffix == ".csv" else "\t"
        cells = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
        quoted = (mark.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in cells)
        path.write_text("\ufeff" + "\r\n".join(quoted), encoding="utf-8", newline="")
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False, indent=2), encoding="utf-8")
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_all_formats_give_the_same_dialogues(tmp_path: Path, ending: str) -> None:
    table = read_table(write_rows(tmp_path / f"rows.{ending}", ROWS), tmp_path / "cache")
    assert [dialogue.example_id for dialogue in table] == [row["fname"] for row in ROWS]
    assert [dialogue.text for dialogue in table] == [row["dialogue"] for row in ROWS]
    assert [dict(dialogue.profile) for dialogue in table] == [{"weekday": str(row["weekday"])} for row in ROWS]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_folder_of_shards_is_read_in_the_order_of_names(tmp_path: Path, ending: str) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    write_rows(folder / f"part-1.{ending}", ROWS[2:])
    write_rows(folder / f"part-0.{ending}", ROWS[:2])
    (folder / "_SUCCESS").touch()
    table = read_table(folder, tmp_path / "cache")
    assert [dialogue.example_id for dialogue in table] == [row["fname"] for row in ROWS]
    assert table.files == (str(folder / f"part-0.{ending}"), str(folder / f"part-1.{ending}"))


def test_a_shard_may_have_a_header_only(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "0.csv").write_text("fname,dialogue,summary\n")
    write_rows(folder / "1.csv", ROWS)
    assert len(read_table(folder, tmp_path / "cache")) == 5


def test_old_line_ends_are_lines(tmp_path: Path) -> None:
    path = tmp_path / "mac.csv"
    path.write_bytes(b"fname,dialogue,summary\ra,b,c\rd,e,f\r")
    assert [(row.line, row.values["fname"]) for row in open_rows(path, "csv").rows] == [(2, "a"), (3, "d")]


def rows_of(path: Path, content: str, file_format: str = "json") -> list[RawRow]:
    path.write_text(content, encoding="utf-8", newline="")
    return list(open_rows(path, file_format).rows)


elements = st.dictionaries(
    st.text('가a"[]{},:\\ \n', max_size=4), st.text('가a"[]{},:\\ \n') | st.integers() | st.none()
)


@given(rows=st.lists(elements | st.integers() | st.text(max_size=3), max_size=8), indent=st.sampled_from([None, 0, 2]))
@settings(deadline=None)
def test_an_array_is_read_element_by_element(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("array") / "rows.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_rows, "_PIECE", 3)
        found = rows_of(path, " \n" + json.dumps(rows, ensure_ascii=False, indent=indent) + "\n")
    assert [row.values if row.error is None else None for row in found] == [
        row if isinstance(row, dict) else None for row in rows
    ]


@pytest.mark.parametrize("piece", [2, 1000])
def test_elements_of_an_array_know_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(json_rows, "_PIECE", piece)
    found = rows_of(tmp_path / "a.json", '\n[\n {"a": 1},\n\n {"a":\n 2}\n, 12, {"a": 3}]\n')
    assert [row.line for row in found] == [3, 5, 7, 7]
    assert found[2].error is not None
    assert found[2].error.reason == "the element is a JSON int, not an object"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"a": 1},\n {"a": }]', ":2: not valid JSON (Expecting value); repair the file from this line on"),
        ('[{"a": 1}\n {"a": 2}]', ":2: not valid JSON (expecting ',' or ']')"),
        ('[{"a": 1},\n', ":2: not valid JSON (Expecting value)"),
        ('[{"a": 1}]\n[{"a": 2}]', ": text follows the end of the JSON array; write one array, or one object a line"),
        ('{"a": 1,\n "b": }', ":2: not valid JSON (Expecting value, column 7); repair the file"),
        ('"text"', ": no list of objects; write an array of objects, JSON Lines, or one under data, document, rows, "),
        ('{"data": [1]}', ": no list of objects"),
    ],
)
@pytest.mark.parametrize("piece", [4, 1000])
def test_broken_json_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str, piece: int
) -> None:
    monkeypatch.setattr(json_rows, "_PIECE", piece)
    path = tmp_path / "a.json"
    assert error_line(lambda: rows_of(path, content)).startswith(f"{path}{message}")


@pytest.mark.parametrize("wrapper", ["data", "document"])
def test_an_object_may_wrap_its_rows(tmp_path: Path, wrapper: str) -> None:
    content = json.dumps({"id": "x", wrapper: [{"a": 1}, {"a": 2}]}, indent=1)
    assert [row.values for row in rows_of(tmp_path / "a.json", content)] == [{"a": 1}, {"a": 2}]


def test_a_json_file_may_hold_lines_or_one_row(tmp_path: Path) -> None:
    assert [row.values for row in rows_of(tmp_path / "a.json", '\n{"a": 1}\n\n{"a": 2}\n')] == [{"a": 1}, {"a": 2}]
    assert [row.values for row in rows_of(tmp_path / "b.json", '{"a": [{"b": 1}]}')] == [{"a": [{"b": 1}]}]


def test_a_bad_line_is_a_bad_row(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.jsonl", '{"a": 1}\n{"a": \n\n[1]\n{"b": 2}\n', "jsonl")
    reasons = [row.error.reason if row.error else None for row in found]
    assert reasons == [
        None,
        "the line is not JSON (Expecting value, column 6)",
        "the line is a JSON list, not an object",
        None,
    ]
    assert [row.line for row in found] == [1, 2, 4, 5]
    assert open_rows(tmp_path / "a.jsonl", "jsonl").columns == ("a", "b")


def test_a_file_without_one_readable_line_is_named_by_that(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"fname": "a", "dialogue": "안녕"}\n'.encode("cp949") * 200)
    for on_bad_rows in ("error", "drop"):
        with pytest.raises(ValueError, match=r"a\.jsonl:1 \(row 1\): the row is not UTF-8 .* save it as UTF-8$"):
            read_table(path, tmp_path / "cache", on_bad_rows=on_bad_rows)


def test_half_a_character_in_json_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"fname": "a", "dialogue": "\\ud83d", "summary": "가"}\n' + json.dumps(ROWS[0]))
    with pytest.raises(ValueError, match="column 'dialogue' holds half a character"):
        read_table(path, tmp_path / "cache")
    assert read_table(path, tmp_path / "cache", on_bad_rows="drop").rejected[0]["content"]["dialogue"] == "\ud83d"


@pytest.mark.parametrize("column", ["fname", "dialogue", "summary", "topic", "weekday", "slots"])
def test_half_a_character_in_any_column_is_a_bad_row_that_names_it(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.jsonl"
    row = {"fname": "a", "dialogue": "가", "summary": "나", "topic": "다", "weekday": "7", "slots": "가"}
    path.write_text(json.dumps({**row, column: "지민\udc00"}) + "\n" + json.dumps({**row, "fname": "b"}))
    message = rf"a\.jsonl:1 \(row 1\): column '{column}' holds half a character \(\\udc00\); write the whole character"
    with pytest.raises(ValueError, match=message):
        read_table(path, tmp_path / "cache")
    table = read_table(path, tmp_path / "cache", on_bad_rows="drop")
    assert [row.example_id for row in table] == ["b"]
    assert (table.num_rejected, table.rejected[0]["column"]) == (1, column)


def test_a_file_that_only_says_it_is_parquet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_text("fname,dialogue,summary\n")
    with pytest.raises(
        ValueError, match=r"a\.parquet: not a Parquet file \(.*\); write it again or change its ending$"
    ):
        read_table(path, tmp_path / "cache")


def test_a_bad_row_of_parquet_has_no_line(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", [ROWS[0], {**ROWS[1], "summary": None}])
    with pytest.raises(ValueError, match=r"a\.parquet \(row 2\): column 'summary' is empty; fill it"):
        read_table(path, tmp_path / "cache")


def test_a_reader_is_a_function_from_a_path_to_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_talk(path: Path) -> RowStream:
        lines = enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        cells = (
            (line, dict(zip(("fname", "dialogue", "summary"), text.split("|"), strict=False))) for line, text in lines
        )
        return RowStream(rows=(RawRow(values=values, line=line) for line, values in cells))

    monkeypatch.setitem(READERS, "talk", read_talk)
    (tmp_path / "a.talk").write_text("a|가|나\nb|다|라\n", encoding="utf-8")
    (tmp_path / "a.txt").write_text("a|가|나\nb|다\n", encoding="utf-8")
    table = read_table(tmp_path / "a.talk", tmp_path / "cache")
    assert [(row.example_id, row.text, row.references) for row in table] == [("a", "가", ("나",)), ("b", "다", ("라",))]
    with pytest.raises(ValueError, match=r"a\.txt:2 \(row 2\): column 'summary' is empty; fill it"):
        read_table({"path": str(tmp_path / "a.txt"), "format": "talk"}, tmp_path / "cache")


def test_a_hub_id_is_read_through_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def load_dataset(name: str, *, split: str) -> datasets.Dataset:
        asked.append((name, split))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.chdir(tmp_path)
    table = read_table("owner/name", tmp_path / "cache", split="val")
    read_table("owner/name:extra", tmp_path / "cache")
    assert [dialogue.text for dialogue in table] == [row["dialogue"] for row in ROWS]
    assert asked == [("owner/name", "validation"), ("owner/name", "extra")]
    assert table.files == ("owner/name",)


def test_a_hub_id_out_of_reach_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, *, split: str) -> None:
        raise ConnectionError(f"Couldn't reach '{name}'\non the Hub")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.chdir(tmp_path)
    assert error_line(lambda: read_table("owner/name", tmp_path / "cache")) == (
        "owner/name: no such file or folder, and the hub gives no split 'train' of a data set of this name "
        "(Couldn't reach 'owner/name' on the Hub); check data.train_file"
    )


def test_a_header_of_many_columns_is_read_in_linear_time(tmp_path: Path) -> None:
    """It was searched once for each of its names: 215 seconds for as many."""
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{number}" for number in range(100_000)) + "\n", encoding="utf-8")
    started = time.process_time()
    assert len(open_rows(path, "csv").columns or ()) == 100_000
    assert time.process_time() - started < 5
