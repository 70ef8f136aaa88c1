"""Recall and precision of speakers and masked values, and speakers in swapped roles."""

from __future__ import annotations

import re
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics import has_swapped_speakers, tag_precision, tag_recall


@pytest.mark.parametrize(
    ("prediction", "reference", "recall", "precision"),
    [
        ("#Person1#이 온다.", "#Person1#이 온다.", 1.0, 1.0),
        ("#Person3#이 온다.", "#Person1#은 #Person2#를 본다.", 0.0, 0.0),
        ("#Person2# #Person2#", "#Person1#은 #Person2#와 #Person2#", 0.5, 1.0),
        ("#Person1# #Person3# #Person3# #Email#", "#Person1#", 1.0, 1 / 3),
        ("#Person11#이 온다.", "#Person1#이 온다.", 0.0, 0.0),
        ("#Person1이 온다.", "#Person1#이 온다.", 0.0, None),
        ("#PhoneNumber#로", "#Person1#은 #PhoneNumber#와 #Address#와 #Email#", 0.25, 1.0),
        ("#Person1#", "비가 온다.", None, 0.0),
        ("비가 온다.", "비가 온다.", None, None),
        ("#Person1#", "#서울 맛집 #1#", None, 0.0),
    ],
)
def test_shares_of_different_tags(
    prediction: str, reference: str, recall: float | None, precision: float | None
) -> None:
    assert tag_recall(prediction, reference) == recall
    assert tag_precision(prediction, reference) == precision


@pytest.mark.parametrize(
    ("prediction", "reference", "is_swapped"),
    [
        ("#Person1#은 #Person2#를 본다.", "#Person1#이 #Person2#에게 온다.", False),
        ("#Person2#는 #Person1#을 본다.", "#Person1#이 #Person2#에게 온다.", True),
        # Only the first mention of each counts.
        ("#Person1#은 #Person2#를 보고 #Person1#은 간다.", "#Person1#이 #Person2#에게 #Person2#의 것을 준다.", False),
        # Others between them do not matter, nor do masked values.
        ("#Person3# #Person1# #Email# #Person2#", "#Email# #Person1# #Person2# #Person4#", False),
        ("#Email# #Person1#", "#Person1# #Email#", None),
        ("#Person3# #Person2# #Person1#", "#Person1# #Person2# #Person4#", True),
        ("#Person1# #Person3#", "#Person1# #Person2#", None),
        ("#Person1#", "#Person1# #Person2#", None),
        ("", "#Person1# #Person2#", None),
    ],
)
def test_swapped_speakers(prediction: str, reference: str, is_swapped: bool | None) -> None:
    assert has_swapped_speakers(prediction, reference) is is_swapped


@given(first=st.lists(st.integers(1, 4), max_size=8), second=st.lists(st.integers(1, 4), max_size=8))
def test_swapped_means_some_pair_changed_places(first: list[int], second: list[int]) -> None:
    pairs = [(a, b) for a, b in permutations(set(first) & set(second), 2)]
    expected = any(first.index(a) < first.index(b) and second.index(a) > second.index(b) for a, b in pairs)
    texts = [" ".join(f"#Person{speaker}#" for speaker in speakers) for speakers in (first, second)]
    assert has_swapped_speakers(*texts) is (expected if pairs else None)
    assert has_swapped_speakers(*texts) is has_swapped_speakers(*reversed(texts))


@pytest.mark.shared
def test_people_seldom_swap_and_swapped_tags_are_found(dev_references: list[list[str]]) -> None:
    """The noise of the signal on two people's summaries of a dialogue, and how much of true swaps it finds."""

    def rate(pairs: list[tuple[str, str]]) -> float:
        found = [is_swapped for pair in pairs if (is_swapped := has_swapped_speakers(*pair)) is not None]
        assert len(found) > 300
        return sum(found) / len(found)

    swapped = [re.sub(r"#Person([12])#", lambda tag: f"#Person{3 - int(tag[1])}#", row[1]) for row in dev_references]
    assert rate([(row[1], row[0]) for row in dev_references]) < 0.03
    assert rate([(text, row[0]) for text, row in zip(swapped, dev_references, strict=True)]) > 0.97
