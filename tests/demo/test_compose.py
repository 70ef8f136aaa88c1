"""How a situation becomes a dialogue."""

from __future__ import annotations

from random import Random

import pytest

from kosum_pl.demo.compose import SATURDAY, compose, render
from kosum_pl.demo.situations import Situation, parse_situations

TEXT = """== 우산
$ name=given; item=우산/지갑
? B: 여보세요?
A: {name:아}, {item:을} 봤어?
B: 아니.
+ B: 어디에 뒀는데?
+ A: 몰라.
= {A:이} {name}에게 {item:을} 묻는다.
= {name:은} {item:을} 보지 못했다.
=+ {A:이} {name}에게 물음.
=+ {name:이} 모른다고 함.
"""


@pytest.fixture
def situation() -> Situation:
    return parse_situations(TEXT, source="x.txt")[0]


def test_render_fills_choices_and_particles() -> None:
    values = {"name": "민지", "A": "#Person2#"}
    texts = {render("[{name:이에요}|{A:은}].", values, Random(seed)) for seed in range(20)}
    assert texts == {"민지예요.", "#Person2#는."}


def test_speakers_are_numbered_as_they_speak(situation: Situation) -> None:
    openings = {compose(situation, weekday=2, rng=Random(seed)).dialogue.split("\n")[0] for seed in range(30)}
    assert "#Person1#: 여보세요?" in openings
    assert any(opening.startswith("#Person1#: ") and "봤어?" in opening for opening in openings)
    for seed in range(30):
        row = compose(situation, weekday=2, rng=Random(seed))
        asker = "#Person2#가" if "여보세요" in row.dialogue else "#Person1#이"
        first = next((text for text in row.summaries if "묻는다" in text), asker)
        assert first.startswith(asker)


def test_neighbouring_turns_of_a_speaker_become_one_line(situation: Situation) -> None:
    row = compose(situation, weekday=SATURDAY, rng=Random(0))
    assert row.dialogue.split("\n")[2:] == ["#Person1#: 아니. 어디에 뒀는데?", "#Person2#: 몰라."]


def test_only_saturdays_have_their_turns_and_references(situation: Situation) -> None:
    for seed in range(20):
        saturday = compose(situation, weekday=SATURDAY, rng=Random(seed))
        monday = compose(situation, weekday=2, rng=Random(seed))
        assert "어디에" in saturday.dialogue
        assert "어디에" not in monday.dialogue
        assert all(text.endswith(("물음.", "함.")) for text in saturday.summaries)
        assert all(text.endswith("다.") for text in monday.summaries)


def test_slots_are_copied_values_only(situation: Situation) -> None:
    row = compose(situation, weekday=2, rng=Random(1))
    (name,) = row.slots  # the item is no slot
    assert name in row.dialogue
    assert name in row.summaries[0]
