"""Room of decoding: which preset serves a row, and which scores a step of generation may use.

In: a row's profile, ids and scores. Out: a preset, its arguments for `generate`, and logits processors. Presets and
their router need neither torch nor transformers, so a misspelt preset is answered at once; `constraint` is loaded
when one of its names is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kosum_pl.decode.preset import DecodingPreset, load_preset
from kosum_pl.decode.router import PresetRouter

if TYPE_CHECKING:
    from kosum_pl.decode.constraint import GeneratedNGramBan, generated_only_processors

__all__ = ["DecodingPreset", "GeneratedNGramBan", "PresetRouter", "generated_only_processors", "load_preset"]


def __getattr__(name: str) -> Any:
    """Load `constraint`, and with it torch and transformers, at first use."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from kosum_pl.decode import constraint

    return getattr(constraint, name)
