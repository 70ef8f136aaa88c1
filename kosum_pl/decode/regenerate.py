"""`Regenerator`: which predictions to try again, and how.

In: predictions, and a function that generates rows anew. Out: as many predictions, each the best attempt of its row.
A summary that is empty, cut off or not Korean is no use to anybody, and another preset mostly says something better.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from kosum_pl.decode.language import korean_probability
from kosum_pl.decode.literals import AllowedText, CharacterSet, allowed_text
from kosum_pl.decode.preset import DecodingPreset, find_preset, load_preset
from kosum_pl.types import Prediction

Generate = Callable[[Sequence[int], DecodingPreset, int], Sequence[Prediction]]
"""(indices of the rows, preset, attempt from 1 on) → one new prediction a row, in the same order."""

_Check = Callable[[Prediction, AllowedText, float], bool]


def _is_empty(prediction: Prediction, row: AllowedText, threshold: float) -> bool:
    return not any(char.isalnum() for char in prediction.text)


def _is_contaminated(prediction: Prediction, row: AllowedText, threshold: float) -> bool:
    # What the model wrote: a filter would have left the stump of a sentence.
    return bool(row.foreign_places(prediction.raw_text))


def _is_other_language(prediction: Prediction, row: AllowedText, threshold: float) -> bool:
    probability = korean_probability(prediction.text, literals=row.literals, row_words=row.row_words)
    return probability is not None and probability < threshold


def _is_unfinished(prediction: Prediction, row: AllowedText, threshold: float) -> bool:
    return not prediction.reached_eos


REGENERATION_CHECKS: Final[Mapping[str, _Check]] = MappingProxyType(
    {
        "empty": _is_empty,
        "contamination": _is_contaminated,
        "language": _is_other_language,
        "no_eos": _is_unfinished,
    }
)
"""What fails a prediction, worst first, by the name the config uses.

`empty`: no letter and no digit. `contamination`: a character in the raw text that nothing allows. `language`: Korean
is less probable than `min_korean_probability`. `no_eos`: the model did not stop by itself.
"""


class Regenerator:
    """Generates rows that fail a check again, and keeps each row's best attempt.

    Args:
        max_attempts: Most further attempts a row gets after its first.
        presets: Names or paths of decoding presets, one an attempt; the last serves all further ones. A preset
            without sampling that has failed a row once will fail it again in the same words.
        checks: Names out of `REGENERATION_CHECKS`.
        min_korean_probability: What `language` asks for, 0-1.

    Raises:
        ValueError: A number out of its range, an empty list, an unknown check, or a preset that does not load.

    Example:
        >>> regenerator = Regenerator(max_attempts=1, checks=["empty", "no_eos"])
        >>> [preset.name for preset in regenerator.presets]
        ['retry']
        >>> Regenerator(checks=["eos"])
        Traceback (most recent call last):
        ValueError: model.regenerator.checks: unknown check 'eos'; known: empty, contamination, language, no_eos
    """

    def __init__(
        self,
        *,
        max_attempts: int = 2,
        presets: Sequence[str] = ("retry",),
        checks: Sequence[str] = tuple(REGENERATION_CHECKS),
        min_korean_probability: float = 0.5,
    ) -> None:
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1:
            raise ValueError(
                f"model.regenerator.max_attempts is {max_attempts!r}; write a whole number from 1 on, "
                "or leave model.regenerator out"
            )
        if not 0 <= min_korean_probability <= 1:
            raise ValueError(
                f"model.regenerator.min_korean_probability is {min_korean_probability}; write a number from 0 to 1"
            )
        _check_names("presets", presets)
        _check_names("checks", checks)
        for check in checks:
            if check not in REGENERATION_CHECKS:
                known = ", ".join(REGENERATION_CHECKS)
                raise ValueError(f"model.regenerator.checks: unknown check '{check}'; known: {known}")
        self.max_attempts = max_attempts
        self.presets = tuple(_load(name) for name in presets)
        self.preset_files = tuple(find_preset(name) for name in presets)
        self.checks = tuple(check for check in REGENERATION_CHECKS if check in checks)
        self.min_korean_probability = min_korean_probability

    def failures(self, prediction: Prediction, *, charset: CharacterSet, literals: Sequence[str]) -> tuple[str, ...]:
        """Names of the checks that a prediction fails, worst first."""
        row = allowed_text(prediction.dialogue, charset=charset, literals=literals)
        return tuple(
            check for check in self.checks if REGENERATION_CHECKS[check](prediction, row, self.min_korean_probability)
        )

    def regenerate(
        self,
        predictions: Sequence[Prediction],
        generate: Generate,
        *,
        charset: CharacterSet,
        literals: Sequence[str],
    ) -> list[Prediction]:
        """Generate again what fails, up to `max_attempts` times, and keep the best attempt of each row.

        An empty text loses to any other; then fewer failures win, then less severe ones, then the higher mean
        log-probability of a token, then the earlier attempt.

        `generate` is called with indices in `predictions`, the attempt's preset and its number from 1 on, to be mixed
        into the seed: sampling would repeat itself otherwise.

        Returns:
            One prediction a row, in order. `attempts` counts how often its row was generated, `preset` made it.
        """
        kept = list(predictions)
        found = [self.failures(prediction, charset=charset, literals=literals) for prediction in kept]
        for attempt in range(1, self.max_attempts + 1):
            rows = [row for row, failures in enumerate(found) if failures]
            if not rows:
                break
            preset = self.presets[min(attempt, len(self.presets)) - 1]
            for row, new in zip(rows, generate(rows, preset, attempt), strict=True):
                failures = self.failures(new, charset=charset, literals=literals)
                attempts = kept[row].attempts + 1
                if _badness(new, failures) < _badness(kept[row], found[row]):
                    kept[row], found[row] = dataclasses.replace(new, preset=preset.name), failures
                kept[row] = dataclasses.replace(kept[row], attempts=attempts)
        return kept


def _badness(prediction: Prediction, failures: Sequence[str]) -> tuple[Any, ...]:
    """Sorts attempts of one row, best first."""
    ranks = [list(REGENERATION_CHECKS).index(failure) for failure in failures]
    mean = prediction.log_prob / prediction.num_tokens if prediction.num_tokens else -math.inf
    # A lower rank is a worse failure. Not-a-number would win or lose by chance.
    severity = tuple(-rank for rank in ranks)
    return "empty" in failures, len(failures), severity, math.inf if math.isnan(mean) else -mean


def _check_names(argument: str, names: Sequence[str]) -> None:
    if isinstance(names, str) or not names:
        raise ValueError(f"model.regenerator.{argument} is {names!r}; write a list of one or more names")


def _load(name: str) -> DecodingPreset:
    try:
        return load_preset(name)
    except ValueError as error:
        raise ValueError(f"model.regenerator.presets: {error}") from error
