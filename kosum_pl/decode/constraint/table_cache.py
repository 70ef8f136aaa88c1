"""Token tables on disk.

In: a tokenizer, a charset, literals. Out: their tables, built once and read from then on. The file's name is a hash of
everything that decides its content, so that a changed tokenizer or charset finds no file, never a wrong one.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.automaton import ByteAutomaton, build_automaton
from kosum_pl.decode.constraint.tables import TokenTables, build_tables
from kosum_pl.decode.constraint.token_bytes import token_bytes, vocabulary_fingerprint
from kosum_pl.files import replacing

_FORMAT: Final = 3


def default_cache_dir() -> Path:
    """`$KOSUM_CACHE`, else `~/.cache/kosum_pl`."""
    return Path(os.environ.get("KOSUM_CACHE") or "~/.cache/kosum_pl").expanduser()


def load_tables(
    tokenizer: Any, *, charset: Charset, literals: Sequence[str] = (), cache_dir: Path | None = None
) -> TokenTables:
    """Tables of a tokenizer, from the cache or built now.

    A cache that cannot be written costs a second at every start and nothing else.

    Raises:
        ValueError: The tokenizer's kind is unknown, or its vocabulary can write nothing of the charset.
    """
    literals = sorted(set(literals))
    key = repr([_FORMAT, vocabulary_fingerprint(tokenizer), charset.fingerprint, literals])
    name = f"constraint-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}.npz"
    path = (cache_dir or default_cache_dir()) / name
    tables = _read(path)
    if tables is None:
        tables = build_tables(build_automaton(charset, literals), token_bytes(tokenizer))
        with suppress(OSError):
            _write(tables, path)
    return tables


def _write(tables: TokenTables, path: Path) -> None:
    automaton = tables.automaton
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            **vars(automaton),
            columns=tables.columns,
            following=tables.following,
            distance=tables.distance,
            lengths=np.array([len(piece) for piece in tables.written], dtype=np.int32),
            written=np.frombuffer(b"".join(tables.written), dtype=np.uint8),
        )


def _read(path: Path) -> TokenTables | None:
    """Stored tables; None where there are none or the file is broken."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in stored.files}
        automaton = ByteAutomaton(
            start=int(values.pop("start")),
            **{name: values.pop(name) for name in ("transitions", "is_accepting", "is_free", "behind_word")},
        )
        ends = np.cumsum(values.pop("lengths")).tolist()
        blob = values.pop("written").tobytes()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    written = [blob[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return TokenTables(automaton=automaton, written=written, **values)
