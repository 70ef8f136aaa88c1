"""Tables as a config with the default settings reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.data import DEFAULT_CLEANING, Columns, DialogueTable, read_dialogues

_DEFAULTS = {"columns": Columns(), "cleaning": DEFAULT_CLEANING, "on_bad_rows": "error", "needs_summary": True}


def error_line(call: Callable[[], object]) -> str:
    """The message of the error that a user causes by a call: one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read_table(source: Any, cache_dir: Path, *, split: str = "train", **options: Any) -> DialogueTable:
    return read_dialogues(
        str(source) if isinstance(source, Path) else source,
        cache_dir=cache_dir,
        split=split,
        **{**_DEFAULTS, **options},
    )
