"""New wording against a count by sets."""

from __future__ import annotations

import random

import pytest

from kosum_pl.drift.vocabulary import new_vocabulary, trigrams

SYLLABLES = "가나다라마바사아자차카타파하고노도로모보소오조초"


def texts(number: int, *, seed: int, syllables: str = SYLLABLES) -> list[str]:
    generator = random.Random(seed)
    return [
        " ".join("".join(generator.choices(syllables, k=generator.randint(1, 5))) for _ in range(12))
        for _ in range(number)
    ]


def test_the_share_is_that_of_a_count_by_sets() -> None:
    train, other = texts(200, seed=0), texts(60, seed=1)
    known = {trigram for text in train for trigram in trigrams(text)}
    found = [trigram for text in other for trigram in trigrams(text)]
    new = new_vocabulary(train, other=other)
    assert new is not None
    assert new.share == pytest.approx(sum(trigram not in known for trigram in found) / len(found))
    assert abs(new.z_score) < 4
    assert new == new_vocabulary(train, other=other)


def test_other_words_stand_out() -> None:
    few = SYLLABLES[:6]
    train, other = texts(300, seed=0, syllables=few), texts(50, seed=1, syllables=few)
    new = new_vocabulary(train, other=[*other, *["#Person1#: 뷁뷁뷁뷁 뷁뷁"] * 10])
    assert new is not None
    assert new.z_score > 4
    assert set(new.examples[:2]) == {"뷁뷁뷁뷁", "뷁뷁"}


def test_without_words_there_is_nothing_to_say() -> None:
    assert new_vocabulary(["..."], other=["가나"]) is None
    assert new_vocabulary(["가나"], other=["#Person1#"]) is None
