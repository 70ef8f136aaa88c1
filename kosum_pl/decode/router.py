"""`PresetRouter`: which preset serves which row.

In: a row's profile. Out: a preset. Batches are grouped by it before they are formed, so that none mixes presets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from kosum_pl.decode.preset import DecodingPreset, load_preset
from kosum_pl.decode.preset_checks import check_conditions
from kosum_pl.types import profile_text


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


def idle_conditions(
    presets: Iterable[DecodingPreset], profiles: Iterable[Mapping[str, str]], *, split: str
) -> list[str]:
    """A line for every `when` that holds for no row: its column is nowhere, or its value never occurs.

    Lists of presets are shared between data sets, so that this is worth a line and no error.

    Example:
        >>> preset = DecodingPreset(name="long", when={"weekday": 7})
        >>> idle_conditions([preset], [{"topic": "여행"}], split="val")
        ["preset 'long' serves no row of val: none has the column 'weekday' of its when"]
    """
    values: dict[str, set[str]] = {}
    for profile in profiles:
        for name, value in profile.items():
            values.setdefault(name, set()).add(profile_text(value))
    lines = []
    for preset in presets:
        where = f"preset '{preset.name}' serves no row of {split}"
        for column, texts in check_conditions(preset.when, where=f"preset '{preset.name}'").items():
            if not any(values.get(column, ())):
                lines.append(f"{where}: none has the column '{column}' of its when")
            elif values[column].isdisjoint(texts):
                lines.append(f"{where}: none has {column}={' or '.join(texts)}")
    return lines
