"""A comparison in plain words.

In: a feature that differs for real. Out: one sentence that a reader can check by counting rows: shares and medians, and
no measure of distance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kosum_pl.drift.features import Feature
from kosum_pl.drift.vocabulary import Wording

_MAX_NAMED: Final = 3
_LEAST_DIFFERENCE: Final = 0.05
# What a number describes, how its ratio reads, and its unit.
_PHRASES: Final = {
    "characters": ("dialogues", "{} times as long", "characters"),
    "prompt tokens": ("prompts", "{} times as long", "tokens"),
    "turns": ("dialogues", "{} times as many turns", "turns"),
    "speakers": ("dialogues", "{} times as many speakers", "speakers"),
    "summary characters": ("summaries", "{} times as long", "characters"),
}


def category_words(feature: Feature, *, name: str) -> str:
    """How the values of a profile column differ in the other split, which is called `name`."""
    train, other = _shares(feature.train), _shares(feature.other)
    filled = [index for index, share in enumerate(other) if share > 0]
    in_train = sum(train[index] for index in filled)
    if len(filled) <= _MAX_NAMED and in_train < 1 - _LEAST_DIFFERENCE:
        values = _listed([feature.bins[index] for index in filled])
        return f"{name} holds only {feature.name} {values}; {percent(in_train)} of train does"
    if feature.new_share >= _LEAST_DIFFERENCE:
        new = [index for index in filled if not feature.train[index]]
        new.sort(key=lambda index: -other[index])
        named = f" ({_listed([feature.bins[index] for index in new[:_MAX_NAMED]])})" if new else ""
        return f"{percent(feature.new_share)} of {name} has a {feature.name} that train never has{named}"
    most = sorted(zip(feature.bins, train, other, strict=True), key=lambda bin_: -abs(bin_[2] - bin_[1]))[:2]
    parts = [
        f"{feature.name} {value}: {percent(of_other)} of {name}, {percent(of_train)} of train"
        for value, of_train, of_other in most
        if abs(of_other - of_train) >= _LEAST_DIFFERENCE
    ]
    return "; ".join(parts) or f"{feature.name}: many values of {name} are a little more or less frequent than in train"


def number_words(feature: Feature, *, name: str) -> str:
    """How numbers differ: by their medians, else by their means, else by their spread."""
    assert feature.spreads is not None, "numbers have spreads"
    train, other = feature.spreads
    noun, ratio_phrase, unit = _PHRASES.get(feature.name, ("rows", "{} times as much", feature.name))
    for word, of_train, of_other in (("median", train.median, other.median), ("mean", train.mean, other.mean)):
        if of_train > 0 and f"{of_other / of_train:.1f}" != "1.0":
            verb = "have" if "as many" in ratio_phrase else "are"
            ratio = ratio_phrase.format(f"{of_other / of_train:.1f}")
            return f"{noun} of {name} {verb} {ratio} ({word} {_rounded(of_other)} {unit} against {_rounded(of_train)})"
    spans = [f"{_rounded(spread.lower)} to {_rounded(spread.upper)}" for spread in (other, train)]
    return f"{noun} of {name} are spread otherwise: the middle half has {spans[0]} {unit} against {spans[1]}"


def vocabulary_words(wording: Wording, *, name: str) -> str:
    """How much of the wording is new."""
    new = wording.new
    return (
        f"{percent(new.share)} of the character trigrams in {name}'s {wording.name} never stand in train's; "
        f"{percent(new.expected_share)} would be usual (new words: {', '.join(new.examples[:_MAX_NAMED])})"
    )


def percent(share: float) -> str:
    """A share as a reader says it.

    Example:
        >>> percent(0.1428), percent(0.004), percent(0.0), percent(0.998), percent(1.0)
        ('14 %', '0.4 %', '0 %', '99.8 %', '100 %')
    """
    value = 100 * share
    is_close_to_an_end = 0 < value < 1 or 99 < value < 100
    return f"{value:.1f} %" if is_close_to_an_end else f"{value:.0f} %"


def _shares(counts: Sequence[int]) -> list[float]:
    return [count / sum(counts) for count in counts]


def _listed(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 or value == int(value) else f"{value:.1f}"
