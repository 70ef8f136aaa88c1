"""Room of decoding: which preset serves a row, what its summary may hold, and what becomes of the text.

In: a row's profile and dialogue, ids and scores. Out: a preset and its arguments for `generate`, logits processors,
final text. Presets, charsets and settings need neither torch nor transformers, so a misspelt one is answered at once;
the rest is loaded when one of its names is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, foreign_places, row_literals
from kosum_pl.decode.preset import DecodingPreset, load_preset
from kosum_pl.decode.router import PresetRouter
from kosum_pl.decode.row_length import RowLength
from kosum_pl.decode.settings import STAGES, ChangesDecoding, ConstraintSettings, DecodingSettings

if TYPE_CHECKING:
    from kosum_pl.decode.constraint.head import check_small_head, compact_head, constrained_head
    from kosum_pl.decode.constraint.kinds import (
        AutomatonConstraint,
        BatchConstraint,
        Constraint,
        PrefixFunctionConstraint,
        StaticMaskConstraint,
    )
    from kosum_pl.decode.constraint.processors import GenerationShape
    from kosum_pl.decode.constraint.table_cache import load_tables
    from kosum_pl.decode.repetition.processors import generated_only_processors

_LAZY: Final = {
    "constraint.kinds": (
        "AutomatonConstraint",
        "BatchConstraint",
        "Constraint",
        "PrefixFunctionConstraint",
        "StaticMaskConstraint",
    ),
    "constraint.processors": ("GenerationShape",),
    "constraint.head": ("check_small_head", "compact_head", "constrained_head"),
    "repetition.processors": ("generated_only_processors",),
    "constraint.table_cache": ("load_tables",),
}
_FILE_OF: Final = {name: file for file, names in _LAZY.items() for name in names}

__all__ = [
    "DEFAULT_LITERALS",
    "STAGES",
    "AutomatonConstraint",
    "BatchConstraint",
    "ChangesDecoding",
    "Charset",
    "Constraint",
    "ConstraintSettings",
    "DecodingPreset",
    "DecodingSettings",
    "GenerationShape",
    "PrefixFunctionConstraint",
    "PresetRouter",
    "RowLength",
    "StaticMaskConstraint",
    "check_small_head",
    "compact_head",
    "constrained_head",
    "foreign_places",
    "generated_only_processors",
    "load_preset",
    "load_tables",
    "row_literals",
]


def __getattr__(name: str) -> Any:
    """Load what needs torch and transformers at first use."""
    if name not in _FILE_OF:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_FILE_OF[name]}"), name)
