"""Is another split like train? Profile columns, lengths, turns, speakers and wording, compared one by one.

In: the rows of two splits. Out: a frozen `Drift`: every comparison with what chance would do, and plain words for those
that chance does not explain. A test split of another kind is the commonest reason for a score that did not carry over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from kosum_pl.data.profiles import count_speakers, count_turns, profile_columns, profile_values
from kosum_pl.drift.features import Feature, category_feature, is_free_text, number_feature
from kosum_pl.drift.vocabulary import Wording, compare_wording
from kosum_pl.drift.words import category_words, number_words, vocabulary_words
from kosum_pl.types import Dialogue

# Of all comparisons of two splits together; each gets its part (Bonferroni).
_ERROR_RATE: Final = 0.01
_WORTH_A_WORD: Final = 0.1
_TOPICS_HINT: Final = "data.topics makes clusters of it, or of the dialogues, that can be compared"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How another split, called `name`, differs from train.

    Attributes:
        notes: Columns that could not be compared, and why.
    """

    name: str
    num_train: int
    num_other: int
    features: tuple[Feature, ...]
    wordings: tuple[Wording, ...]
    notes: tuple[str, ...]

    def words(self) -> list[str]:
        """What differs for real, a sentence each; one that says so where nothing does."""
        lines = []
        real = [feature for feature in self.features if feature.is_real]
        names = {feature.name for feature in real}
        for feature in real:
            if feature.name == "prompt tokens" and "characters" in names:
                continue  # says the same
            describe = category_words if feature.spreads is None else number_words
            lines.append(describe(feature, name=self.name))
        lines += [vocabulary_words(wording, name=self.name) for wording in self.wordings if wording.is_real]
        return lines or [f"no drift worth a word between train and {self.name}"]

    def values(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {**asdict(self), "words": self.words()}


def compare(
    train: Sequence[Dialogue],
    *,
    other: Sequence[Dialogue],
    name: str = "test",
    prompt_tokens: tuple[Sequence[int], Sequence[int]] | None = None,
    seed: int = 0,
) -> Drift:
    """Compare another split with train.

    `prompt_tokens` are of each row's prompt, of train and of the other split, where an encoder is known; `seed` is of
    the random deals that show what is usual.

    Raises:
        ValueError: A split is empty.

    Example:
        >>> rows = [Dialogue(example_id=str(i), text="네", profile={"weekday": str(i % 7)}) for i in range(140)]
        >>> compare(rows, other=[row for row in rows if row.profile["weekday"] == "6"]).words()
        ['test holds only weekday 6; 14 % of train does']
    """
    if not train or not other:
        raise ValueError(f"drift: {name if train else 'train'} has no rows; give a file with at least one dialogue")
    features, notes = _profile_features(train, other, name=name, seed=seed)
    features += _number_features(train, other, prompt_tokens, seed=seed)
    return Drift(
        name=name,
        num_train=len(train),
        num_other=len(other),
        features=tuple(_judged(features)),
        wordings=_wordings(train, other, seed=seed),
        notes=tuple(notes),
    )


def _profile_features(
    train: Sequence[Dialogue], other: Sequence[Dialogue], *, name: str, seed: int
) -> tuple[list[Feature], list[str]]:
    features, notes = [], []
    columns = [profile_columns(rows) for rows in (train, other)]
    for column in dict.fromkeys((*columns[0], *columns[1])):
        values = [profile_values(rows, column=column) for rows in (train, other)]
        owners = [split for split, known in zip(("train", name), columns, strict=True) if column in known]
        if len(owners) == 1:
            notes.append(f"{column}: only {owners[0]} has this column; nothing to compare")
        elif any(is_free_text(of_split) for of_split in values):
            num_values = len(set(values[0]))
            notes.append(f"{column}: {num_values:,} values in {len(train):,} rows of train; skipped, {_TOPICS_HINT}")
        else:
            features.append(category_feature(values[0], other=values[1], name=column, seed=seed))
    return features, notes


def _number_features(
    train: Sequence[Dialogue],
    other: Sequence[Dialogue],
    prompt_tokens: tuple[Sequence[int], Sequence[int]] | None,
    *,
    seed: int,
) -> list[Feature]:
    counters = {"characters": len, "turns": count_turns, "speakers": count_speakers}
    numbers: dict[str, Sequence[Sequence[int]]] = {
        name: [[count(row.text) for row in rows] for rows in (train, other)] for name, count in counters.items()
    }
    if prompt_tokens is not None:
        numbers = {"characters": numbers.pop("characters"), "prompt tokens": prompt_tokens, **numbers}
    summaries = [_summaries(train), _summaries(other)]
    if all(summaries):
        numbers["summary characters"] = [[len(text) for text in texts] for texts in summaries]
    return [number_feature(values[0], other=values[1], name=name, seed=seed) for name, values in numbers.items()]


def _wordings(train: Sequence[Dialogue], other: Sequence[Dialogue], *, seed: int) -> tuple[Wording, ...]:
    texts = {
        "dialogues": [[row.text for row in rows] for rows in (train, other)],
        "summaries": [_summaries(train), _summaries(other)],
    }
    found = (compare_wording(pair[0], other=pair[1], name=name, seed=seed) for name, pair in texts.items())
    return tuple(wording for wording in found if wording is not None)


def _judged(features: Sequence[Feature]) -> list[Feature]:
    """Features that chance does not explain and that changed by more than a little, marked as real."""
    limit = _ERROR_RATE / max(1, len(features))
    return [
        replace(
            feature,
            is_real=feature.distance.p_value <= limit
            and feature.distance.psi - feature.distance.expected_psi >= _WORTH_A_WORD,
        )
        for feature in features
    ]


def _summaries(dialogues: Sequence[Dialogue]) -> list[str]:
    """First reference of every row that has one."""
    return [dialogue.references[0] for dialogue in dialogues if dialogue.references]
