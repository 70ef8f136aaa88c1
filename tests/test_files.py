"""Files that are written whole and read once; folders that are made, and taken away where nothing came of them."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.errors import UsageError
from kosum_pl.files import (
    copy_atomically,
    make_folders,
    make_free_folder,
    open_atomically,
    read_json,
    read_json_lines,
    read_mapping,
    remove_empty_folders,
    write_atomically,
    write_json,
    write_json_lines,
    writing,
)
from tests.full_disk import fill_disk


def test_only_the_missing_folders_are_made_and_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    made = make_folders(tmp_path / "a" / "b" / "c")
    assert made == (tmp_path / "a" / "b", tmp_path / "a" / "b" / "c")
    assert make_folders(tmp_path / "a" / "b" / "c") == ()
    remove_empty_folders(made)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_a_folder_that_is_not_empty_ends_the_removal(tmp_path: Path) -> None:
    made = make_folders(tmp_path / "a" / "b")
    (tmp_path / "a" / "b" / "file").touch()
    remove_empty_folders(made)
    assert (tmp_path / "a" / "b" / "file").exists()


@pytest.mark.parametrize("name", ["file", "file/below", "new/../file/below"])
def test_a_file_in_the_way_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folders(tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_folders(Path("a/b")) == (tmp_path / "a", tmp_path / "a" / "b")


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert [make_free_folder(tmp_path / "x").name for _ in range(2)] == ["x-2", "x-3"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_atomically(path, "old")

    def write_half() -> None:
        with open_atomically(path) as file:
            file.write("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_line_ends_and_permissions_are_what_open_would_give(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep" / "a.csv", "가\n나\r\n")
    assert (tmp_path / "deep" / "a.csv").read_bytes() == "가\n나\r\n".encode()
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "plain", tmp_path / "deep" / "a.csv")}
    assert len(modes) == 1


def test_copy_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    copy_atomically(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_is_read_follows_the_file_and_belongs_to_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for value in ("가", "나"):  # of the same length
        write_json(path, {"a": [value]})
        read_json(path)["a"].append("mine")
        assert read_json(path) == read_mapping(path) == {"a": [value]}
    assert read_mapping(tmp_path / "none.yaml") == {}
    rows: list[dict[str, Any]] = [{"a": "x\u2028y"}, {"a": 1}]
    write_json_lines(rows, path)
    assert read_json_lines(path) == rows


def test_a_write_that_fails_names_the_file_and_not_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "metrics.json"
    write_json(path, {"old": 1})
    refused = fill_disk(monkeypatch, lambda name: True)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_json(path, {"new": 2})
    assert (caught.value.filename, caught.value.errno, refused) == (str(path), errno.ENOSPC, ["metrics.json"])
    assert read_json(path) == {"old": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.json"]


def test_what_a_library_says_of_a_full_disk_names_the_file_too(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left on device") as caught, writing(tmp_path / "a.png"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert (caught.value.filename, caught.value.errno) == (str(tmp_path / "a.png"), errno.ENOSPC)


@pytest.mark.parametrize("error", [RuntimeError("x"), UsageError("the disk is full: x"), OSError(errno.EIO, "x", "/b")])
def test_any_other_error_is_raised_as_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, writing(tmp_path / "a.png"):
        raise error
    assert caught.value is error
    assert getattr(error, "filename", "/b") == "/b"
