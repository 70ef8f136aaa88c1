"""`PresetRouter`: which preset serves which row.

In: a row's profile. Out: a preset. Batches are grouped by it before they are formed, so that none mixes presets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from kosum_pl.decode.preset import DecodingPreset, load_preset


@dataclass(frozen=True, kw_only=True)
class PresetRouter:
    """Chooses a preset by a row's profile.

    Attributes:
        forced: Serves every row, whatever its profile.
        presets: The first whose `when` matches serves a row.
        default: Serves the rows that no preset matches.

    Raises:
        ValueError: A preset that can never be reached, or two different presets of one name.

    Example:
        >>> long = DecodingPreset(name="long", when={"weekday": 7}, max_new_tokens=192)
        >>> router = PresetRouter(presets=(long,), default=DecodingPreset(name="short"))
        >>> router.preset_for({"weekday": "7"}).name, router.preset_for({"weekday": "3"}).name
        ('long', 'short')
    """

    forced: DecodingPreset | None = None
    presets: tuple[DecodingPreset, ...] = ()
    default: DecodingPreset = field(default_factory=lambda: load_preset("default"))

    def __post_init__(self) -> None:
        for preset, hidden in pairwise(self.presets):
            if not preset.when:
                raise ValueError(
                    f"preset '{preset.name}' has no `when` and serves every row, so '{hidden.name}' behind it never "
                    f"serves one; put '{preset.name}' last in model.presets"
                )
        by_name: dict[str, DecodingPreset] = {}
        for preset in self.candidates:
            if by_name.setdefault(preset.name, preset) != preset:
                raise ValueError(f"two different presets are named '{preset.name}'; give one of them another name")

    @property
    def candidates(self) -> tuple[DecodingPreset, ...]:
        """Presets that may serve a row."""
        if self.forced is not None:
            return (self.forced,)
        has_catch_all = any(not preset.when for preset in self.presets)
        return self.presets if has_catch_all else (*self.presets, self.default)

    def preset_for(self, profile: Mapping[str, str]) -> DecodingPreset:
        """The preset that serves rows of this profile."""
        if self.forced is not None:
            return self.forced
        return next((preset for preset in self.presets if preset.matches(profile)), self.default)
