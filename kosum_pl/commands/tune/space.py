"""Which presets are tried: the fields that are searched, and within which bounds.

In: the lengths of the slice's references in tokens, and presets that must lie within the bounds. Out: knobs as data, a
preset from a trial's choice and the choice from a preset. Optuna is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kosum_pl.decode import DecodingPreset

if TYPE_CHECKING:
    from optuna import Trial

Params = dict[str, Any]
"""Field of a preset to its value; fields that do nothing with one beam are left out there."""

_SAMPLING: Final[Mapping[str, Any]] = {
    "do_sample": False, "temperature": None, "top_p": None, "top_k": None, "seed": None
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One field that is searched.

    Attributes:
        step: Grid of a number; None for whole numbers.
        choices: Instead of bounds.
        needs_beams: Whether it does nothing with one beam.
    """

    name: str
    low: float = 0
    high: float = 0
    step: float | None = None
    choices: tuple[Any, ...] = ()
    needs_beams: bool = False

    def choose(self, trial: Trial) -> Any:
        """A trial's value."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.step is None:
            return trial.suggest_int(self.name, int(self.low), int(self.high))
        return round(trial.suggest_float(self.name, self.low, self.high, step=self.step), 6)

    def nearest(self, value: Any) -> Any:
        """The nearest value that a trial can choose."""
        if self.choices:
            return value if value in self.choices else self.choices[0]
        inside = min(max(value, self.low), self.high)
        if self.step is None:
            return int(inside)
        return round(self.low + round((inside - self.low) / self.step) * self.step, 6)


def make_space(reference_lengths: Sequence[int], presets: Sequence[DecodingPreset]) -> tuple[Knob, ...]:
    """The search space of a slice.

    Example:
        >>> {knob.name: (knob.low, knob.high) for knob in make_space([20, 30, 40], [])[-2:]}
        {'min_new_tokens': (0, 30), 'max_new_tokens': (30, 60)}
    """
    median, longest = (int(np.quantile(reference_lengths, share)) for share in (0.5, 1.0))
    knobs = (
        Knob(name="num_beams", low=1, high=6),
        Knob(name="length_penalty", low=-1.0, high=3.0, step=0.25, needs_beams=True),
        Knob(name="early_stopping", choices=(False, True), needs_beams=True),
        Knob(name="no_repeat_ngram_size", low=0, high=6),
        Knob(name="repetition_penalty", low=1.0, high=1.5, step=0.05),
        Knob(name="min_new_tokens", low=0, high=median),
        # Below the median, half of the summaries could not be as long as their references.
        Knob(name="max_new_tokens", low=median, high=longest + longest // 2),
    )
    return tuple(_widened(knob, [getattr(preset, knob.name) for preset in presets]) for knob in knobs)


def _widened(knob: Knob, values: Sequence[Any]) -> Knob:
    if knob.choices:
        return replace(knob, choices=tuple(dict.fromkeys([*knob.choices, *values])))
    low, high = min([knob.low, *values]), max([knob.high, *values])
    if knob.step is not None:  # keep to the grid
        steps_down = -(-(knob.low - low) // knob.step)
        steps_up = -(-(high - knob.low) // knob.step)
        low, high = knob.low - steps_down * knob.step, knob.low + steps_up * knob.step
    return replace(knob, low=low, high=high)


def choose_params(trial: Trial, space: Sequence[Knob]) -> Params:
    """A trial's fields; what only beams use is asked for only where there are any."""
    params: Params = {}
    for knob in space:
        if knob.needs_beams and params["num_beams"] == 1:
            continue
        params[knob.name] = knob.choose(trial)
    # Fewest above most is refused by a preset; the search may still try it, as the shorter of both.
    params["min_new_tokens"] = min(params["min_new_tokens"], params["max_new_tokens"])
    return params


def params_of(preset: DecodingPreset, space: Sequence[Knob]) -> Params:
    """The nearest that a trial can choose to a preset."""
    is_greedy = preset.num_beams == 1
    return {
        knob.name: knob.nearest(getattr(preset, knob.name)) for knob in space if not (knob.needs_beams and is_greedy)
    }


def preset_from(params: Mapping[str, Any], *, base: DecodingPreset) -> DecodingPreset:
    """A preset with a trial's fields, without sampling; bad words, name and `when` are the base's."""
    neutral = {"length_penalty": 1.0, "early_stopping": False}
    return replace(base, **{**_SAMPLING, **neutral, **params})


def put_back(params: Params, start: Params, *, knob: Knob, space: Sequence[Knob]) -> Params:
    """`params` with one field of `start`; where that brings beams, what only they use is taken from either.

    Example:
        >>> space = (Knob(name="num_beams", low=1, high=4), Knob(name="early_stopping", needs_beams=True))
        >>> put_back({"num_beams": 4, "early_stopping": True}, {"num_beams": 1}, knob=space[0], space=space)
        {'num_beams': 1}
    """
    changed = {**start, **params}
    if knob.name in start:
        changed[knob.name] = start[knob.name]
    is_greedy = changed["num_beams"] == 1
    return {item.name: changed[item.name] for item in space if not (item.needs_beams and is_greedy)}
