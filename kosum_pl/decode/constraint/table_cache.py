"""Token tables on disk.

In: a tokenizer, a charset, literals. Out: their tables, built once and read from then on. The file's name is a hash of
everything that decides its content, so that a changed tokenizer or charset finds no file, never a wrong one.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from kosum_pl.cache import load_or_build
from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.automaton import ByteAutomaton, build_automaton
from kosum_pl.decode.constraint.tables import TokenTables, build_tables
from kosum_pl.decode.constraint.token_bytes import token_bytes, vocabulary_fingerprint

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
    return load_or_build(
        (cache_dir or default_cache_dir()) / name,
        build=lambda: _content(build_tables(build_automaton(charset, literals), token_bytes(tokenizer))),
        read=_tables,
    )


def _content(tables: TokenTables) -> bytes:
    file = io.BytesIO()
    np.savez(
        file,
        **vars(tables.automaton),
        columns=tables.columns,
        following=tables.following,
        distance=tables.distance,
        lengths=np.array([len(piece) for piece in tables.written], dtype=np.int32),
        written=np.frombuffer(b"".join(tables.written), dtype=np.uint8),
    )
    return file.getvalue()


def _tables(content: bytes) -> TokenTables:
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        values = {name: stored[name] for name in stored.files}
    automaton = ByteAutomaton(
        start=int(values.pop("start")),
        **{name: values.pop(name) for name in ("transitions", "is_accepting", "is_free", "behind_word")},
    )
    ends = np.cumsum(values.pop("lengths")).tolist()
    blob = values.pop("written").tobytes()
    written = [blob[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    return TokenTables(automaton=automaton, written=written, **values)
