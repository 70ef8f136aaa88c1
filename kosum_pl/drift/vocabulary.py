"""How much of a split's wording stands nowhere in train.

In: texts of two splits. Out: the share of the one's character trigrams, by occurrences, that the other never has, and
what that share would be for as many rows of the same distribution. Trigrams of words need no morphological analyser,
and do not call a known noun new because another particle follows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.data.profiles import words

_NUM_DEALS: Final = 199
# Chance puts no trigram of more rows than these into one heap alone.
_MAX_ROWS_OF_RARE: Final = 64

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVocabulary:
    """What of a split's wording is new.

    Attributes:
        share: Share of its trigrams, by occurrences, that train never has.
        expected_share: The same for random rows of both splits against the rest.
        z_score: How many standard deviations of those random shares lie between the two.
        examples: The most frequent new words.
    """

    share: float
    expected_share: float
    z_score: float
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """New vocabulary of the dialogues or of the summaries, and whether chance does not explain it."""

    name: str
    new: NewVocabulary
    is_real: bool


def compare_wording(train: Sequence[str], *, other: Sequence[str], name: str, seed: int = 0) -> Wording | None:
    """Compare the wording of two splits; None where one of them has no words at all."""
    new = new_vocabulary(train, other=other, seed=seed)
    if new is None:
        return None
    # Four deviations, a hundredth of the wording and a tenth of the usual share: what chance never does.
    is_large = new.share - new.expected_share >= max(0.01, 0.1 * new.expected_share)
    return Wording(name=name, new=new, is_real=bool(new.z_score >= 4 and is_large))


def trigrams(text: str) -> Iterator[str]:
    """Character trigrams of each word, tags left out; a shorter word is one of its own.

    Example:
        >>> list(trigrams("#Person1#: 학교에서 봐"))
        ['학교에', '교에서', '봐']
    """
    for word in words(text):
        yield from _trigrams_of(word)


def new_vocabulary(train: Sequence[str], *, other: Sequence[str], seed: int = 0) -> NewVocabulary | None:
    """How much of the other split's wording train never has; None where one of the splits has no words at all."""
    rows, types, counts, numbers = _occurrences([*train, *other])
    is_other = np.arange(len(train) + len(other)) >= len(train)
    totals = np.bincount(rows, weights=counts, minlength=len(is_other))
    if not totals[is_other].sum() or not totals[~is_other].sum():
        return None
    num_rows_of = np.bincount(types, minlength=len(numbers))
    share = _new_share(is_other, rows, types, counts, num_rows_of, totals)
    is_rare = num_rows_of[types] <= _MAX_ROWS_OF_RARE
    rare = rows[is_rare], types[is_rare], counts[is_rare]
    generator = np.random.default_rng(seed)
    usual = [_new_share(generator.permutation(is_other), *rare, num_rows_of, totals) for _ in range(_NUM_DEALS)]
    # At least what one occurrence makes: where deals bring nothing new at all, they do not vary either.
    mean, deviation = float(np.mean(usual)), max(float(np.std(usual)), 1 / float(totals[is_other].sum()))
    return NewVocabulary(
        share=share,
        expected_share=mean,
        z_score=(share - mean) / deviation,
        examples=_new_words(train, other),
    )


def _occurrences(texts: Sequence[str]) -> tuple[Ints, Ints, Ints, dict[str, int]]:
    """Row, trigram and count of every trigram of every text, (N,) each, and the trigrams' numbers."""
    numbers: dict[str, int] = {}
    rows, types, counts = [], [], []
    for row, text in enumerate(texts):
        for trigram, count in Counter(trigrams(text)).items():
            rows.append(row)
            types.append(numbers.setdefault(trigram, len(numbers)))
            counts.append(count)
    return np.array(rows, dtype=np.int64), np.array(types, dtype=np.int64), np.array(counts, dtype=np.int64), numbers


def _new_share(
    is_other: NDArray[np.bool_], rows: Ints, types: Ints, counts: Ints, num_rows_of: Any, totals: Any
) -> float:
    """Share of the other rows' occurrences whose trigram stands in no row besides them."""
    chosen = is_other[rows]
    inside = np.bincount(types[chosen], minlength=len(num_rows_of))
    is_new = inside[types[chosen]] == num_rows_of[types[chosen]]
    total = totals[is_other].sum()
    return float(counts[chosen][is_new].sum() / total) if total else 0.0


def _new_words(train: Sequence[str], other: Sequence[str], *, num_words: int = 8) -> tuple[str, ...]:
    known = {trigram for text in train for trigram in trigrams(text)}
    counts = Counter(word for text in other for word in words(text))
    new = [word for word in counts if any(trigram not in known for trigram in _trigrams_of(word))]
    return tuple(sorted(new, key=lambda word: (-counts[word], word))[:num_words])


def _trigrams_of(word: str) -> list[str]:
    return [word[start : start + 3] for start in range(len(word) - 2)] if len(word) > 3 else [word]
