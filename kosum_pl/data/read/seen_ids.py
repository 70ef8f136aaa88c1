"""Ids of a file → whether one occurred before.

In: ids with the location of their rows. Out: the location of the first occurrence of an id that comes again. They are
kept on disk, because a set of ids would be the only thing in this room that grows with the number of rows.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path


class SeenIds:
    """Ids of the rows read so far."""

    def __init__(self, folder: Path) -> None:
        handle, name = tempfile.mkstemp(dir=folder, prefix=".ids-")
        os.close(handle)
        self._path = Path(name)
        self._connection = sqlite3.connect(name, isolation_level=None)
        for setting in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, location TEXT) WITHOUT ROWID")
        self._connection.execute("BEGIN")

    def __enter__(self) -> SeenIds:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._path.unlink()

    def add(self, example_id: str, location: str) -> str | None:
        """Notes an id; gives the location of its first occurrence where it was there already."""
        if self._connection.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (example_id, location)).rowcount:
            return None
        row = self._connection.execute("SELECT location FROM ids WHERE id = ?", (example_id,)).fetchone()
        return str(row[0])
