from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.data.clean import DEFAULT_CLEANING, make_cleaner
from kosum_pl.data.read.cell import CellError
from kosum_pl.data.read.conversation import read_messages, render_conversation

clean = make_cleaner(DEFAULT_CLEANING)


@pytest.mark.parametrize(
    "turns",
    [
        [
            {"speaker": "b", "utterance": "네"},
            {"speaker": "a", "utterance": "응"},
            {"speaker": "b", "utterance": "왜?"},
        ],
        [{"speaker_id": 2, "form": "네"}, {"speaker_id": 1, "form": "응"}, {"speaker_id": 2, "form": "왜?"}],
        [{"speaker": "P2", "text": "네"}, {"speaker": "P1", "text": "응"}, {"speaker": "P2", "text": "왜?"}],
        [
            {"participantID": "P02", "original_form": "네"},
            {"participantID": "P01", "original_form": "응"},
            {"participantID": "P02", "original_form": "왜?"},
        ],
    ],
)
@pytest.mark.parametrize("spell", [lambda turns: turns, lambda turns: json.dumps(turns, ensure_ascii=False), repr])
def test_speakers_are_numbered_as_they_first_speak(turns: list[dict[str, Any]], spell: Any) -> None:
    assert render_conversation(spell(turns), clean) == "#Person1#: 네\n#Person2#: 응\n#Person1#: 왜?"


def test_the_corrected_spelling_is_taken_before_the_original() -> None:
    turn = {"speaker_id": "1", "original_form": "머라고", "form": "뭐라고"}
    assert render_conversation([turn], clean) == "#Person1#: 뭐라고"


def test_a_break_inside_an_utterance_does_not_start_a_turn_and_empty_ones_go() -> None:
    turns = [
        {"speaker": "1", "utterance": " "},
        {"speaker": "2", "utterance": "하나<br>둘\\n셋"},
        {"speaker": "1", "utterance": "네"},
    ]
    assert render_conversation(turns, clean) == "#Person1#: 하나 둘 셋\n#Person2#: 네"


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("그냥 글", "is not a list of objects"),
        ([{"speaker": "1"}], "has no 'utterance' in turn 1"),
        ([{"speaker": "1", "utterance": "네"}, {"utterance": "네"}], "has no 'speaker' in turn 2"),
    ],
)
def test_a_wrong_conversation_says_what_it_lacks(cell: Any, reason: str) -> None:
    with pytest.raises(CellError, match=reason):
        render_conversation(cell, clean)


@given(st.lists(st.tuples(st.integers(0, 5), st.text("가나 다\n", max_size=5))))
def test_each_spoken_turn_gives_one_line_of_its_speaker(turns: list[tuple[int, str]]) -> None:
    lines = render_conversation([{"speaker": s, "utterance": u} for s, u in turns], clean).split("\n")
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
    messages = read_messages(json.dumps(cell), clean)
    assert [(message.role, message.content) for message in messages] == [
        ("system", "요약하세요."),
        ("user", "가\n나"),
        ("assistant", "다"),
    ]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ([{"role": "human", "content": "가"}], "has role 'human' in message 1"),
        ([{"role": "user"}], "has no 'content' in turn 1"),
        ([{"role": "user", "content": {"a": 1}}], "holds objects"),
    ],
)
def test_a_wrong_chat_says_what_it_lacks(cell: Any, reason: str) -> None:
    with pytest.raises(CellError, match=reason):
        read_messages(cell, clean)
