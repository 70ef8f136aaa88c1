"""Which presets are tried: the fields that are searched, and within which bounds.

In: the lengths of the slice's references and prompts in tokens, and presets that must lie within the bounds. Out: knobs
as data, a preset from a trial's choice and the choice from a preset. Optuna is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kosum_pl.decode import DecodingPreset, RowLength

if TYPE_CHECKING:
    from optuna import Trial

Params = dict[str, Any]
"""What is searched to its value; what does nothing beside the others is left out."""

# Parts of a limit that follows the row; without a share, one number serves all rows.
_SHARE: Final = "max_new_tokens.per_source_token"
_LEAST: Final = "max_new_tokens.min"
_OFF: Final[Mapping[str, float]] = {"num_beams": 1, _SHARE: 0.0}
_SHARE_STEP: Final = 0.05

_SAMPLING: Final[Mapping[str, Any]] = {
    "do_sample": False, "temperature": None, "top_p": None, "top_k": None, "seed": None
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One field that is searched, or a part of one.

    Attributes:
        step: Grid of a number; None for whole numbers.
        choices: Instead of bounds.
        needs: Name of the knob without which it does nothing, asked for before it.
    """

    name: str
    low: float = 0
    high: float = 0
    step: float | None = None
    choices: tuple[Any, ...] = ()
    needs: str = ""

    @property
    def field(self) -> str:
        """The preset's field."""
        return self.name.partition(".")[0]

    def is_idle(self, params: Params) -> bool:
        """Whether it does nothing beside these."""
        return bool(self.needs) and params[self.needs] == _OFF[self.needs]

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


def make_space(
    reference_lengths: Sequence[int], presets: Sequence[DecodingPreset], *, prompt_lengths: Sequence[int]
) -> tuple[Knob, ...]:
    """The search space of a slice of N rows.

    Args:
        reference_lengths: Tokens of each row's reference, (N,).
        presets: Must lie within the bounds.
        prompt_lengths: Tokens of each row's prompt, (N,).

    Example:
        >>> space = make_space([20, 30, 40], [], prompt_lengths=[90, 100, 110])
        >>> [(knob.low, knob.high) for knob in space[-4:]]  # a share, its least, min_new_tokens, max_new_tokens
        [(0.0, 0.4), (20, 30), (0, 30), (30, 60)]
    """
    shortest, median, longest = (int(np.quantile(reference_lengths, share)) for share in (0.0, 0.5, 1.0))
    # Beyond, the limits of nearly all rows would be the most that a row may have.
    largest_share = float(np.quantile(np.divide(reference_lengths, prompt_lengths), 0.95))
    known = [_searched(preset) for preset in presets]
    # No longer than any limit that may be put back.
    known_limits = [values["max_new_tokens"] for values in known]
    knobs = (
        Knob(name="num_beams", low=1, high=6),
        Knob(name="length_penalty", low=-1.0, high=3.0, step=0.25, needs="num_beams"),
        Knob(name="early_stopping", choices=(False, True), needs="num_beams"),
        _ban_knob(presets),
        Knob(name="repetition_penalty", low=1.0, high=1.5, step=0.05),
        Knob(name=_SHARE, low=0.0, high=_grid_above(largest_share), step=_SHARE_STEP),
        Knob(name=_LEAST, low=min([shortest, *known_limits]), high=median, needs=_SHARE),
        Knob(name="min_new_tokens", low=0, high=median),
        # Below the median, half of the summaries could not be as long as their references.
        Knob(name="max_new_tokens", low=median, high=longest + longest // 2),
    )
    return tuple(_widened(knob, [values[knob.name] for values in known if knob.name in values]) for knob in knobs)


def _ban_knob(presets: Sequence[DecodingPreset]) -> Knob:
    """Phrases of words that may not come twice: no weaker a ban than the weakest given.

    A longer phrase forbids fewer references, so that no reachability stands in its way, and ROUGE pays for a phrase
    that is said again where a summary would otherwise be too short.
    """
    sizes = [preset.no_repeat_ngram_size for preset in presets]
    counts_words = all(preset.no_repeat_ngram_unit == "word" for preset in presets)
    if sizes and min(sizes) > 0 and counts_words:
        return Knob(name="no_repeat_ngram_size", low=min(2, *sizes), high=max(sizes))
    return Knob(name="no_repeat_ngram_size", low=0, high=6)


def _grid_above(share: float) -> float:
    return round(_SHARE_STEP * math.ceil(share / _SHARE_STEP), 6)


def _searched(preset: DecodingPreset) -> Params:
    """Everything of a preset that may be searched, by the names of the knobs."""
    values = {item.name: getattr(preset, item.name) for item in fields(preset)}
    limit = preset.max_new_tokens
    if not isinstance(limit, RowLength):
        return {**values, _SHARE: _OFF[_SHARE]}
    return {**values, "max_new_tokens": limit.max, _SHARE: limit.per_source_token, _LEAST: limit.min}


def _widened(knob: Knob, values: Sequence[Any]) -> Knob:
    if knob.choices:
        return replace(knob, choices=tuple(dict.fromkeys([*knob.choices, *values])))
    low, high = min([knob.low, *values]), max([knob.high, *values])
    if knob.step is not None:  # keep to the grid
        steps_down = -(-(knob.low - low) // knob.step)
        steps_up = -(-(high - knob.low) // knob.step)
        low, high = (round(knob.low + steps * knob.step, 6) for steps in (-steps_down, steps_up))
    return replace(knob, low=low, high=high)


def choose_params(trial: Trial, space: Sequence[Knob]) -> Params:
    """A trial's fields; what only beams use is asked for only where there are any."""
    params: Params = {}
    for knob in space:
        if not knob.is_idle(params):
            params[knob.name] = knob.choose(trial)
    return _in_order(params)


def _in_order(params: Params) -> Params:
    """Fewest above most is refused by a preset; the search may still try it, as the shorter of both."""
    ordered = dict(params)
    for shorter, longer in (
        (_LEAST, "max_new_tokens"),
        ("min_new_tokens", "max_new_tokens"),
        ("min_new_tokens", _LEAST),
    ):
        if shorter in ordered and longer in ordered:
            ordered[shorter] = min(ordered[shorter], ordered[longer])
    return ordered


def params_of(preset: DecodingPreset, space: Sequence[Knob]) -> Params:
    """The nearest that a trial can choose to a preset."""
    params: Params = {}
    values = _searched(preset)
    for knob in space:
        if not knob.is_idle(params):
            params[knob.name] = knob.nearest(values[knob.name])
    return _in_order(params)


def preset_from(params: Mapping[str, Any], *, base: DecodingPreset) -> DecodingPreset:
    """A preset with a trial's fields, without sampling; bad words, name and `when` are the base's."""
    neutral = {"length_penalty": 1.0, "early_stopping": False}
    values = {name: value for name, value in params.items() if name not in (_SHARE, _LEAST)}
    if params.get(_SHARE):
        values["max_new_tokens"] = RowLength(
            per_source_token=params[_SHARE], min=params[_LEAST], max=params["max_new_tokens"]
        )
    return replace(base, **{**_SAMPLING, **neutral, **values})


def put_back(params: Params, start: Params, *, knob: Knob, space: Sequence[Knob]) -> Params:
    """`params` with one field of `start`; where that brings beams, what only they use is taken from either.

    Example:
        >>> space = (Knob(name="num_beams", low=1, high=4), Knob(name="early_stopping", needs="num_beams"))
        >>> put_back({"num_beams": 4, "early_stopping": True}, {"num_beams": 1}, knob=space[0], space=space)
        {'num_beams': 1}
    """
    changed = {**start, **params}
    if knob.name in start:
        changed[knob.name] = start[knob.name]
    return _in_order({item.name: changed[item.name] for item in space if not item.is_idle(changed)})
