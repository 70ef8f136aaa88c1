"""What `tune` says: trials, the comparison with what serves today, and the preset file with both in its comments.

In: trials and scores of rows. Out: lines of text. No number stands without its interval.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import yaml

from kosum_pl.commands.tune.space import Knob, Params
from kosum_pl.commands.tune.study import Tried
from kosum_pl.decode import DecodingPreset, RowLength
from kosum_pl.metrics.bootstrap import Difference, mean_interval, paired_difference

_TOP: Final = 5
_WIDTH: Final = 118
_RESAMPLES: Final = 10_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """The tuned preset against what serves the same rows today, unless that would be refused, and against `default`.

    Attributes:
        part: `tuning` or `held-out`.
        tuned: `rouge_sum` of every row, (N,); so are `before` and `default`.
    """

    part: str
    tuned: np.ndarray
    before: np.ndarray
    before_name: str
    default: np.ndarray
    seed: int

    @cached_property
    def gain(self) -> Difference:
        """Over what serves today."""
        return self._difference(self.before)

    @property
    def is_won(self) -> bool:
        """Whether the mean gain is above zero."""
        return self.gain.interval.mean > 0

    @property
    def sentence(self) -> str:
        """All numbers in a few words."""
        return (
            f"rouge_sum {self._interval(self.tuned)} against {self._interval(self.before)} of {self.before_name}, "
            f"gain {_signed(self.gain)}"
        )

    def lines(self) -> Iterator[str]:
        """What is printed."""
        yield f"{self.part} part, {len(self.tuned)} rows, rouge_sum with 95 % intervals:"
        yield f"  tuned              {self._interval(self.tuned)}"
        yield f"  {self.before_name:<18} {self._interval(self.before)}   gain {_signed(self.gain)}"
        if self.before_name != "default":
            yield f"  {'default':<18} {self._interval(self.default)}   gain {_signed(self._difference(self.default))}"

    def _interval(self, scores: np.ndarray) -> str:
        return str(mean_interval(scores, seed=self.seed, num_resamples=_RESAMPLES))

    def _difference(self, scores: np.ndarray) -> Difference:
        return paired_difference(self.tuned, scores, seed=self.seed, num_resamples=_RESAMPLES)


def trial_line(tried: Tried, all_tried: Sequence[Tried], *, num_trials: int) -> str:
    """One line of progress."""
    best = max((trial.score for trial in all_tried if trial.row_scores is not None), default=tried.score)
    where = f"trial {tried.number} of {num_trials}" if tried.is_searched else f"trial {tried.number}"
    note = f" ({tried.note})" if tried.note else ""
    return f"{where}: {tried.score:.2f}{note}, best {best:.2f}: {_words(tried.params)}"


def trial_table(tried: Sequence[Tried], *, taken: Tried, num_refused: int) -> Iterator[str]:
    """The best trials, each preset once, and which one is taken."""
    first = {_words(trial.params): trial for trial in reversed(tried) if trial.row_scores is not None}
    if num_refused:
        yield f"refused before they generated: {num_refused} more, under which fewer can be said than with default"
    yield f"best of {len(tried)} trials, rouge_sum on the tuning part:"
    for trial in sorted(first.values(), key=lambda trial: (-trial.score, trial.number))[:_TOP]:
        yield f"  {trial.number:>4}  {trial.score:7.2f}  {_words(trial.params)}"
    yield f"taken: trial {taken.number}, the least changed within one standard error of the best search trial"
    yield f"  {taken.number:>4}  {taken.score:7.2f}  {_words(taken.params)}"


def preset_text(
    preset: DecodingPreset, space: Sequence[Knob], *, when: Mapping[str, Sequence[str]], comments: Sequence[str]
) -> str:
    """A preset file: comments, then what was searched; of what was not, the unit of n-grams and bad words."""
    values: dict[str, Any] = {}
    if when:
        values["when"] = {column: _when(texts) for column, texts in when.items()}
    for knob in space:
        if preset.num_beams > 1 or knob.needs != "num_beams":
            value = getattr(preset, knob.field)
            values[knob.field] = asdict(value) if isinstance(value, RowLength) else value
    # A file without a unit would count words.
    values["no_repeat_ngram_unit"] = preset.no_repeat_ngram_unit
    values["do_sample"] = False
    if preset.bad_words:
        values["bad_words"] = list(preset.bad_words)
    wrapped = [part for line in comments[1:] for part in textwrap.wrap(line, _WIDTH, subsequent_indent="  ")]
    lines = "".join(f"# {line}\n" for line in [comments[0], *wrapped])
    return lines + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def verdict(comparison: Comparison) -> str:
    """Whether a gain on held-out rows can be told from noise, in words."""
    gain = comparison.gain
    if not comparison.is_won:
        return "It does not win on held-out rows, and was written by force."
    if gain.is_distinguishable:
        return f"The gain on held-out rows is distinguishable from noise ({_p_value(gain)})."
    return f"The gain on held-out rows is within noise ({_p_value(gain)}): its interval holds 0."


def _signed(gain: Difference) -> str:
    interval = gain.interval
    return f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def _p_value(gain: Difference) -> str:
    return "p < 0.001" if gain.p_value < 0.001 else f"p = {gain.p_value:.3f}"


def _words(params: Params) -> str:
    return ", ".join(f"{name} {str(value).lower()}" for name, value in params.items())


def _when(texts: Sequence[str]) -> Any:
    """A value, or a list of them; whole numbers as such, since both mean the same row and 7 reads better."""
    values = [int(text) if text.isascii() and text.isdecimal() and str(int(text)) == text else text for text in texts]
    return values[0] if len(values) == 1 else values
