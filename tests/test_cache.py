"""The seal of the cache's files, the line that is said of a damaged one, and processes that want the same one."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl import cache
from kosum_pl.cache import DamagedError, check_seals, load_or_build, read_sealed, seal, seals_of, unseal
from tests.damage import overwrite


def build_text() -> bytes:
    return "가나다".encode()


def load(path: Path) -> str:
    return load_or_build(path, build=build_text, read=lambda content: content.decode())


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_seal_finds_every_flip_and_every_cut(content: bytes, data: st.DataObject) -> None:
    sealed = seal(content)
    assert unseal(sealed) == content
    place = data.draw(st.integers(0, 8 * len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[place // 8] ^= 1 << place % 8
    for damaged in (bytes(flipped), sealed[: place // 8], sealed + b"x"):
        with pytest.raises(DamagedError):
            unseal(damaged)


def test_what_was_built_is_read_from_then_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "deep" / "a.json"
    assert load(path) == "가나다"
    assert path.read_bytes() == seal(build_text())
    assert load_or_build(path, build=lambda: b"x", read=lambda content: content.decode()) == "가나다"
    assert [found.name for found in path.parent.iterdir()] == ["a.json"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        ("가나다".encode(), "has no seal: its beginning is damaged, or an older version wrote it"),
        (seal("가나다".encode())[:-1], "is damaged: its length is wrong"),
        (seal("가나다".encode())[:-1] + b"x", "is damaged: its checksum is wrong"),
        (seal(b"\xff"), "holds something else (UnicodeDecodeError)"),
    ],
)
def test_a_damaged_file_is_said_and_built_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: bytes, reason: str
) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(damaged)
    assert load(path) == "가나다"
    assert capsys.readouterr() == ("", f"kosum_pl: warning: {path} {reason}; it is built again\n")
    assert load(path) == "가나다"
    assert capsys.readouterr() == ("", "")


def test_a_cache_that_cannot_be_written_is_said_and_costs_time_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.json"
    assert load(path) == "가나다"
    line = f"kosum_pl: warning: {path}: cannot be written (File exists), and is built again at the next start\n"
    assert capsys.readouterr().err == line
    (tmp_path / "b.json").mkdir()
    assert load(tmp_path / "b.json") == "가나다"
    damaged, unwritten = capsys.readouterr().err.splitlines()
    assert damaged == f"kosum_pl: warning: {tmp_path / 'b.json'} cannot be read (Is a directory); it is built again"
    assert "cannot be written (Is a directory)" in unwritten


def test_what_cannot_be_built_is_the_error_of_who_builds_it(tmp_path: Path) -> None:
    def fail() -> bytes:
        raise ValueError("too few rows")

    with pytest.raises(ValueError, match=r"^too few rows$"):
        load_or_build(tmp_path / "a.json", build=fail, read=bytes)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_read_once_for_its_checksum_while_it_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    real = zlib.crc32

    def count(data: Any, start: int = 0) -> int:
        read.append(len(data))
        return real(data, start)

    monkeypatch.setattr(cache, "_CHUNK_BYTES", 4)
    monkeypatch.setattr("kosum_pl.cache.zlib.crc32", count)
    draft = tmp_path / "draft"
    draft.mkdir()
    (draft / "rows").write_bytes(b"123456789")
    seals = seals_of(draft)
    assert (seals, read) == ({"rows": [9, 0xCBF43926]}, [4, 4, 1])
    folder = draft.rename(tmp_path / "table")
    check_seals(folder, seals)
    assert len(read) == 3
    overwrite(folder / "rows", b"12345678x")
    with pytest.raises(DamagedError, match=r"^is damaged: the checksum of rows is wrong$"):
        check_seals(folder, seals)
    overwrite(folder / "rows", b"12345678")
    with pytest.raises(DamagedError, match=r"^is damaged: the length of rows is wrong$"):
        check_seals(folder, seals)
    (folder / "rows").unlink()
    with pytest.raises(DamagedError, match=r"^is damaged: rows cannot be read \(No such file or directory\)$"):
        check_seals(folder, seals)


def _build_at_once(path: Path, barrier: Any, results: Any) -> None:
    def build() -> bytes:
        with (path.parent / "builds").open("a") as file:
            file.write("x")
        time.sleep(0.3)
        return build_text()

    barrier.wait()
    results.put(load_or_build(path, build=build, read=lambda content: content.decode()))


@pytest.mark.parametrize("damaged", [b"", b"damaged", None])
@pytest.mark.parametrize("has_locks", [True, False])
def test_processes_that_want_the_same_file(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damaged: bytes | None,
    has_locks: bool,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", refuse)
    path = tmp_path / "a.json"
    if damaged is not None:
        path.write_bytes(damaged)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_build_at_once, args=(path, barrier, results)) for _ in range(2)]
    for process in processes:
        process.start()
    assert [results.get(timeout=30) for _ in processes] == ["가나다"] * 2
    for process in processes:
        process.join()
    assert read_sealed(path) == build_text()
    assert {found.name for found in tmp_path.iterdir()} == {"a.json", "builds"}
    num_builds = len((tmp_path / "builds").read_text())
    said = capfd.readouterr().err.splitlines()
    waiting = f"kosum_pl: warning: another process builds a.json in {tmp_path}; waiting for it"
    if has_locks:
        assert num_builds == 1
        assert said.count(waiting) == 1
    assert len(said) - said.count(waiting) == (0 if damaged is None else num_builds)
