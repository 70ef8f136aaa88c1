from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.data.clean import DEFAULT_CLEANING, make_cleaner
from kosum_pl.data.read.cell import as_conversation, as_messages, as_slots, as_text, as_texts, find_cell
from kosum_pl.data.read.row import RowError

clean = make_cleaner(DEFAULT_CLEANING)


@pytest.mark.parametrize(
    ("cell", "expected"), [(None, ""), (float("nan"), ""), (7, "7"), (7.0, "7"), (0.5, "0.5"), ("가", "가")]
)
def test_a_cell_becomes_text(cell: object, expected: str) -> None:
    assert as_text(cell) == expected


@pytest.mark.parametrize("cell", [{"a": 1}, [{"a": 1}], [1, {"a": 1}]])
def test_an_object_is_not_text(cell: object) -> None:
    with pytest.raises(RowError, match="holds objects"):
        as_text(cell)


def test_half_a_surrogate_pair_is_not_text() -> None:
    with pytest.raises(RowError, match=r"half a character \(\\ud83d\)"):
        as_text("가\ud83d")


HALF = "지민\udc00"


@pytest.mark.parametrize(
    ("read", "cell"),
    [
        (as_slots, HALF),
        (as_slots, f"가|{HALF}"),
        (as_slots, ["가", HALF]),
        (as_texts, HALF),
        (as_texts, ["가", HALF]),
        (as_texts, '["\\udc00"]'),
        (lambda cell: as_conversation(cell, str), [{"speaker": HALF, "utterance": "가"}]),
        (lambda cell: as_conversation(cell, str), [{"speaker": "가", "utterance": HALF}]),
        (lambda cell: as_messages(cell, str), [{"role": "user", "content": HALF}]),
        (lambda cell: as_messages(cell, str), [{"role": "user", "content": [{"type": "text", "text": HALF}]}]),
    ],
)
def test_half_a_character_is_found_in_every_kind_of_cell(read: Callable[[Any], object], cell: object) -> None:
    with pytest.raises(RowError, match=r"half a character \(\\udc00\)"):
        read(cell)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("하나", ["하나"]),
        (["하나", " ", None, "둘"], ["하나", "둘"]),
        ('["하나"]', ["하나"]),
        ("[1, 2]", ["[1, 2]"]),
        (None, []),
    ],
)
def test_a_cell_of_several_references(cell: object, expected: list[str]) -> None:
    assert as_texts(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("a| b |", ("a", "b")), (["a", "b|c"], ("a", "b|c")), (None, ()), (["오후  3시"], ("오후 3시",))],
)
def test_slots(cell: object, expected: tuple[str, ...]) -> None:
    assert as_slots(cell) == expected


def test_a_dot_reaches_into_objects_and_a_literal_name_wins() -> None:
    values = {"a": {"b": {"c": 1}}, "a.b": 2}
    assert find_cell(values, "a.b") == 2
    assert find_cell(values, "a.b.c") == 1
    assert find_cell(values, "a.x.c") is None
    assert find_cell({"a": "text"}, "a.b") is None


@pytest.mark.parametrize(
    ("speaker", "utterance"),
    [("speaker", "utterance"), ("speaker_id", "form"), ("speaker", "text"), ("participantID", "original_form")],
)
@pytest.mark.parametrize("spell", [lambda turns: turns, lambda turns: json.dumps(turns, ensure_ascii=False), repr])
def test_speakers_are_numbered_as_they_first_speak(speaker: str, utterance: str, spell: Any) -> None:
    turns = [{speaker: name, utterance: text} for name, text in (("b", "네"), ("a", "응"), ("b", "왜?"))]
    assert as_conversation(spell(turns), clean) == "#Person1#: 네\n#Person2#: 응\n#Person1#: 왜?"


def test_the_corrected_spelling_is_taken_before_the_original() -> None:
    turn = {"speaker_id": "1", "original_form": "머라고", "form": "뭐라고"}
    assert as_conversation([turn], clean) == "#Person1#: 뭐라고"


def test_a_break_inside_an_utterance_does_not_start_a_turn_and_empty_ones_go() -> None:
    turns = [
        {"speaker": "1", "utterance": " "},
        {"speaker": "2", "utterance": "하나<br>둘\\n셋"},
        {"speaker": "1", "utterance": "네"},
    ]
    assert as_conversation(turns, clean) == "#Person1#: 하나 둘 셋\n#Person2#: 네"


@given(st.lists(st.tuples(st.integers(0, 5), st.text("가나 다\n", max_size=5))))
def test_each_spoken_turn_gives_one_line_of_its_speaker(turns: list[tuple[int, str]]) -> None:
    lines = as_conversation([{"speaker": s, "utterance": u} for s, u in turns], clean).split("\n")
    spoken = [(s, " ".join(u.split())) for s, u in turns if u.strip()]
    order = list(dict.fromkeys(s for s, _ in spoken))
    expected = [f"#Person{order.index(s) + 1}#: {u}" for s, u in spoken]
    assert lines == (expected or [""])


def test_messages_keep_roles_and_cleaned_contents() -> None:
    cell = [
        {"role": "system", "content": "요약하세요."},
        {"role": "user", "content": [{"type": "text", "text": "가<br>나"}, {"type": "image", "url": "x"}]},
        {"role": "assistant", "content": " 다 "},
    ]
    messages = as_messages(json.dumps(cell), clean)
    assert [(message.role, message.content) for message in messages] == [
        ("system", "요약하세요."),
        ("user", "가\n나"),
        ("assistant", "다"),
    ]


NO_LIST = ["text", "[1]", None, {"a": 1}, "[{'a': __import__('os')}]"]


@pytest.mark.parametrize(
    ("read", "cell", "reason"),
    [
        *((as_conversation, cell, "is not a list of objects") for cell in NO_LIST),
        (as_conversation, [{"speaker": "1"}], "has no 'utterance' in turn 1"),
        (as_conversation, [{"speaker": "1", "utterance": "네"}, {"utterance": "네"}], "has no 'speaker' in turn 2"),
        (as_messages, [{"role": "human", "content": "가"}], "has role 'human' in message 1"),
        (as_messages, [{"role": "user"}], "has no 'content' in turn 1"),
        (as_messages, [{"role": "user", "content": {"a": 1}}], "holds objects"),
    ],
)
def test_wrong_turns_say_what_they_lack(read: Any, cell: Any, reason: str) -> None:
    with pytest.raises(RowError, match=reason):
        read(cell, clean)
