"""A text's topical fragments, and the words by which a reader knows a cluster of texts.

In: a text. Out: the beginnings of its words, two to four characters long. A Korean word carries its meaning in front,
particles and politeness behind: n-grams from anywhere in it make clusters of speech levels, those from its front make
clusters of topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosum_pl.data.vocabulary import words

_NUM_CANDIDATES = 80
# A longer fragment stands for a shorter one of nearly its weight.
_NEARLY = 0.7


def fragments(text: str, *, min_length: int, max_length: int) -> list[str]:
    """Character n-grams at the beginning of each word.

    Args:
        text: A dialogue, or a topic's name.
        min_length: Least characters; a shorter word has no fragment.
        max_length: Most characters.

    Example:
        >>> fragments("#Person1#: 비행기를 타요", min_length=2, max_length=4)
        ['비행', '비행기', '비행기를', '타요']
    """
    lengths = range(min_length, max_length + 1)
    return [word[:length] for word in words(text) for length in lengths if len(word) >= length]


def telling_words(weights: NDArray[Any], *, vocabulary: Sequence[str], num_words: int = 8) -> tuple[str, ...]:
    """Fragments that weigh most, one of each family of common beginnings.

    Args:
        weights: How much more a fragment weighs in a cluster than elsewhere, (V,).
        vocabulary: The V fragments.
        num_words: How many to name.

    Example:
        >>> telling_words(np.array([0.5, 0.45, 0.1]), vocabulary=["비행", "비행기", "호텔"])
        ('비행기', '호텔')
    """
    places = [place for place in np.argsort(-weights, kind="stable")[:_NUM_CANDIDATES] if weights[place] > 0]
    weight_of = {vocabulary[place]: float(weights[place]) for place in places}
    named: list[str] = []
    for fragment, weight in weight_of.items():
        if any(fragment.startswith(word) or word.startswith(fragment) for word in named):
            continue
        longer = [word for word in weight_of if word.startswith(fragment) and weight_of[word] >= _NEARLY * weight]
        named.append(max(longer, key=lambda word: (len(word), weight_of[word])))
        if len(named) == num_words:
            break
    return tuple(named)
