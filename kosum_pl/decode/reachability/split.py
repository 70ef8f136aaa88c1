"""Reachability of one split, measured once and read from the cache from then on.

In: a table of rows, and everything that decides what may be generated for them. Out: a `Reachability` for each router.
The cached file's name is a hash of all that decides its content; a cache that cannot be written costs seconds only.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from kosum_pl.cache import load_or_build
from kosum_pl.data import DialogueTable, spread_rows
from kosum_pl.decode import DecodingSettings
from kosum_pl.decode.reachability.references import References
from kosum_pl.decode.reachability.report import Reachability
from kosum_pl.encode import Encoder, TokenLimits

_FORMAT: Final = 1


def measure_split(
    table: DialogueTable,
    *,
    encoder: Encoder,
    limits: TokenLimits,
    decoding: DecodingSettings,
    max_rows: int,
    cache_dir: Path,
) -> tuple[Reachability, Reachability]:
    """Hold at most `max_rows` references of a split, spread evenly, against presets and constraint.

    Returns:
        Under the presets of `predict`, and under those of validations inside `fit`.

    Raises:
        ValueError: The constraint or a preset does not fit the tokenizer.
    """
    dialogues = [table[row] for row in spread_rows(len(table), max_rows)]
    constraint = decoding.constraint if decoding.is_constrained("predict") else None
    routers = decoding.router, decoding.fit_router
    content = (
        *(
            _FORMAT,
            encoder.fingerprint,
            limits,
            constraint,
            constraint and constraint.character_set.fingerprint,
            len(table),
        ),
        *((row, *(router.preset_for(row.profile) for router in routers)) for row in dialogues),
    )
    key = sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    path = cache_dir / "reachability" / f"{key}.json"

    def measure() -> bytes:
        references = References(dialogues, encoder=encoder, constraint=constraint, limits=limits)
        measured = [references.measure(router.preset_for, num_all=len(table)).values() for router in routers]
        return json.dumps(measured, ensure_ascii=False, indent=2).encode()

    return load_or_build(path, build=measure, read=_read)


def _read(content: bytes) -> tuple[Reachability, Reachability]:
    found, inside = map(Reachability.from_values, json.loads(content))
    return found, inside
