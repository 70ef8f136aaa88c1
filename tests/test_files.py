"""Folders that are made, and taken away where nothing came of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kosum_pl.files import make_folders, make_free_folder, remove_empty_folders


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


@pytest.mark.parametrize("place", ["file", "file/below", "new/../file/below"])
def test_a_file_in_the_way_leaves_nothing_behind(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        make_folders(tmp_path / place)
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_relative_paths_are_told_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_folders(Path("a/b")) == (tmp_path / "a", tmp_path / "a" / "b")


def test_a_name_that_is_taken_gets_a_number(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert [make_free_folder(tmp_path / "x").name for _ in range(2)] == ["x-2", "x-3"]
