"""`tag_repair`: damaged tags by hand, what must stay, and that no tag is invented."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.postprocess.steps import Postprocessor
from kosum_pl.decode.postprocess.tag_repair import repair_tags
from tests.decode.postprocess.texts import TEXTS

TAGS = ("#Person1#", "#Person2#", "#Person11#", "#Email#")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#Person1 #은", "#Person1#은"),
        ("# Person1#은", "#Person1#은"),
        ("# Person1 #은", "#Person1#은"),
        ("#person1#은", "#Person1#은"),
        ("#PERSON1#은", "#Person1#은"),
        ("#Person 1#과 #Person_2#", "#Person1#과 #Person2#"),
        ("Person1#은", "#Person1#은"),
        ("#Person1은", "#Person1#은"),
        ("#Person1", "#Person1#"),
        ("person1#이 #person2에게", "#Person1#이 #Person2#에게"),
        ("Person1은 그Person2를", "#Person1#은 그#Person2#를"),
        ("＃Person1＃은", "#Person1#은"),
        ("#Person11은 #Person11 #", "#Person11#은 #Person11#"),
        ("#Person1 #Person2 #Person11", "#Person1# #Person2# #Person11#"),
        ("Person1과 Person2#Person1#", "#Person1#과 #Person2##Person1#"),
        ("#Person1#Person2#", "#Person1##Person2#"),
        ("#Person1 # Person2 #", "#Person1# #Person2#"),
        ("#KTX#person1#", "#KTX#Person1#"),
        ("#Email로 #email#은", "#Email#로 #Email#은"),
        ("Email#로", "#Email#로"),
        ("C# Person1", "C# #Person1#"),
    ],
)
def test_damaged_tags_are_mended(text: str, expected: str) -> None:
    assert repair_tags(text, tags=TAGS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "#Person1#은 #Person2#에게 #Person11#을",
        "#Person1##Person2#",
        "#Person3#과 #Person3 #과 person3#",  # not in the dialogue
        "#Person111은 #Person12# Person13",
        "#Parson1# #Persons1# #Person#",
        "Person 1과 person1이 Persona1 xPerson1 Person1a",
        "Email을 email로 #email 해시태그, e-mail# Emails",
        "#1 C# #KTX#",
        "#Person1#: ##",
        "#\nPerson3#",
    ],
)
def test_what_only_resembles_a_tag_stays(text: str) -> None:
    assert repair_tags(text, tags=TAGS) == text


def test_a_word_that_the_dialogue_itself_writes_stays() -> None:
    dialogue = "#Person1#: 파일 이름이 Person1이야. 해시태그는 #Email, 주소는 #Email#."
    assert repair_tags("Person1과 #Email", tags=TAGS, dialogue=dialogue) == "Person1과 #Email"
    assert repair_tags("#Person1과", tags=TAGS, dialogue=dialogue) == "#Person1#과"
    whole = Postprocessor(["tag_repair"])("Person1과 #Email", dialogue=dialogue)
    assert whole.text == "Person1과 #Email"


def test_tags_that_differ_in_case_alone_are_not_guessed() -> None:
    assert repair_tags("#Person1 #은", tags=()) == "#Person1 #은"
    tags = ("#Person1#", "#person1#")
    assert repair_tags("#PERSON1# #Person1 # #person1 #", tags=tags) == "#PERSON1# #Person1# #person1#"


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, tags=st.lists(st.sampled_from(TAGS), unique=True))
def test_tag_repair_writes_no_tag_that_the_dialogue_lacks(text: str, tags: list[str]) -> None:
    repaired = repair_tags(text, tags=tags)
    strange = [tag for tag in ("#Person1#", "#Person2#", "#Person3#", "#Person11#", "#Email#") if tag not in tags]
    assert all(repaired.count(tag) <= text.count(tag) for tag in strange)
    assert all(repaired.count(tag) >= text.count(tag) for tag in tags)
    assert repair_tags(repaired, tags=tags) == repaired
