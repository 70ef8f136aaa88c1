from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data.read.seen_ids import SeenIds
from kosum_pl.data.stored import ROWS_FILE, SUMMARY_FILE, WriteRows, load_or_write
from kosum_pl.data.table import REJECTED_FILE, row_features
from tests.damage import overwrite
from tests.data.tables import read_table


def write_file(path: Path, num_rows: int) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        stream.write("fname,dialogue,summary\n")
        for i in range(num_rows):
            stream.write(f'train_{i},"#Person1#: {i}번입니다.\n#Person2#: 네, {i}번이군요.","{i}번을 확인한다."\n')
    return path


def _refuse(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def _load_at_once(path: Path, cache: Path, barrier: Any, results: Any) -> None:
    barrier.wait()
    table = read_table(path, cache)
    results.put((table.fingerprint, len(table), table[len(table) - 1].text))


@pytest.mark.parametrize("is_damaged", [False, True])
@pytest.mark.parametrize("has_locks", [True, False])
def test_ranks_that_read_at_once_get_one_whole_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    is_damaged: bool,
    has_locks: bool,
) -> None:
    path, cache = write_file(tmp_path / "a.csv", 500), tmp_path / "cache"
    if is_damaged:
        read_table(path, cache)
        (folder,) = cache.iterdir()
        content = (folder / ROWS_FILE).read_bytes()
        overwrite(folder / ROWS_FILE, content.replace("499번".encode(), "498번".encode()))
    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", _refuse)
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(3), context.Queue()
    ranks = [context.Process(target=_load_at_once, args=(path, cache, barrier, results)) for _ in range(3)]
    for rank in ranks:
        rank.start()
    found = {results.get(timeout=60) for _ in ranks}
    for rank in ranks:
        rank.join()
    ((fingerprint, num_rows, text),) = found
    assert (num_rows, text) == (500, "#Person1#: 499번입니다.\n#Person2#: 네, 499번이군요.")
    assert [folder.name for folder in cache.iterdir()] == [f"rows-{fingerprint}"]
    num_said = capfd.readouterr().err.count("it is built again")
    assert num_said == is_damaged if has_locks else num_said <= 3 * is_damaged


def test_a_failed_read_leaves_nothing(tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.csv", 2000)
    path.write_text(path.read_text(encoding="utf-8") + "train_x,가\n", encoding="utf-8")
    with pytest.raises(ValueError, match="2 fields"):
        read_table(path, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", [ROWS_FILE, SUMMARY_FILE])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_table_is_made_again(tmp_path: Path, name: str, damage: str) -> None:
    path, cache = write_file(tmp_path / "a.csv", 50), tmp_path / "cache"
    expected = [dialogue.text for dialogue in read_table(path, cache)]
    (folder,) = cache.iterdir()
    if damage == "cut":
        os.truncate(folder / name, (folder / name).stat().st_size // 2)
    else:
        (folder / name).unlink()
    assert [dialogue.text for dialogue in read_table(path, cache)] == expected
    assert {file.name for file in folder.iterdir()} == {ROWS_FILE, REJECTED_FILE, SUMMARY_FILE}
    assert [left.name for left in cache.iterdir()] == [folder.name]


def test_a_damaged_table_that_holds_other_files_is_left_to_its_owner(tmp_path: Path) -> None:
    path, cache = write_file(tmp_path / "a.csv", 5), tmp_path / "cache"
    read_table(path, cache)
    (folder,) = cache.iterdir()
    (folder / SUMMARY_FILE).unlink()
    (folder / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"is a damaged table of the cache and holds notes.txt; take the folder away"):
        read_table(path, cache)
    assert {file.name for file in folder.iterdir()} == {ROWS_FILE, REJECTED_FILE, "notes.txt"}
    assert [left.name for left in cache.iterdir()] == [folder.name]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot write the cache here \(Not a directory\); set data.cache_dir"):
        read_table(write_file(tmp_path / "a.csv", 1), tmp_path / "file" / "cache")


def _fill_the_disk(rows: Any, folder: Path) -> dict[str, Any]:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _fill_a_database(rows: Any, folder: Path) -> dict[str, Any]:
    database = sqlite3.connect(folder / "ids")
    database.execute("PRAGMA max_page_count = 1")
    database.execute("CREATE TABLE ids (id TEXT)")
    return {}


def _find_no_source(rows: Any, folder: Path) -> dict[str, Any]:
    raise FileNotFoundError(errno.ENOENT, "No such file", "train.csv")


@pytest.mark.parametrize(
    ("write", "reason"),
    [(_fill_the_disk, "No space left on device"), (_fill_a_database, "database or disk is full")],
)
def test_a_full_disk_is_named(tmp_path: Path, write: WriteRows, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        load_or_write(tmp_path / "cache" / "rows-1", features=row_features(), write=write)
    assert str(caught.value) == f"{tmp_path / 'cache'}: cannot write the cache here ({reason}); set data.cache_dir"
    assert list((tmp_path / "cache").iterdir()) == []
    with pytest.raises(FileNotFoundError, match=r"train\.csv"):
        load_or_write(tmp_path / "cache" / "rows-1", features=row_features(), write=_find_no_source)


def test_an_id_tells_where_it_stood_first(tmp_path: Path) -> None:
    with SeenIds(tmp_path) as seen:
        found = [seen.add(name, f"row {i}") for i, name in enumerate(["a", "A", "a ", "한", "a", "한"])]
    assert found == [None, None, None, None, "row 0", "row 3"]
    assert list(tmp_path.iterdir()) == []


# Anonymous memory is what the process holds; pages of the mapped file come and go as the system likes.
MEASURE = """
import re, sys, threading
from pathlib import Path
from tests.damage import overwrite
from tests.data.tables import read_table

peak, done = 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.01):
        peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))

watcher = threading.Thread(target=watch)
watcher.start()
table = read_table(Path(sys.argv[1]), Path(sys.argv[2]))
sum(len(table[i].text) for i in range(0, len(table), 1000))
done.set()
watcher.join()
print(len(table), peak // 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    peaks = []
    for num_rows in (10_000, 200_000):
        path = write_file(tmp_path / f"{num_rows}.csv", num_rows)
        command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / "cache")]
        output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        rows, peak = map(int, output.split())
        assert rows == num_rows
        peaks.append(peak)
    # 190,000 rows more are 30 MB more of text; a set of their ids alone would take 20 MB.
    assert peaks[1] - peaks[0] < 10, peaks


_KILLED_WRITER = """
import os, signal, sys
from pathlib import Path
from kosum_pl.data.stored import load_or_write
from kosum_pl.data.table import row_features

def write(rows, draft):
    (draft / "part").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)

load_or_write(Path(sys.argv[1]), features=row_features(), write=write)
"""


def test_the_draft_of_a_killed_writer_is_taken_away_by_the_next(tmp_path: Path) -> None:
    folder, other = tmp_path / "table", tmp_path / "table-2"
    for path in (folder, other):
        killed = subprocess.run([sys.executable, "-c", _KILLED_WRITER, str(path)], check=False)
        assert killed.returncode == -9
    (abroad := tmp_path / ".writing-table-0123abcd-x").mkdir()  # of another machine, whose locks may not be seen here
    own, others = ([*tmp_path.glob(f".writing-{name}-????????-*")] for name in ("table", "table-2"))
    drafts = {path for path in own if path != abroad} - {*others}
    assert (len(drafts), len(others)) == (1, 1)
    rows = load_or_write(folder, features=row_features(), write=lambda rows, draft: {}).rows
    assert len(rows) == 0
    left = {path for path in tmp_path.glob(".writing-*")}
    assert left == {*others, abroad}


def test_a_draft_stays_where_its_writer_may_be_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "table"
    subprocess.run([sys.executable, "-c", _KILLED_WRITER, str(folder)], check=False)
    monkeypatch.setattr(fcntl, "flock", _refuse)
    load_or_write(folder, features=row_features(), write=lambda rows, draft: {})
    assert len([*tmp_path.glob(".writing-*")]) == 1
