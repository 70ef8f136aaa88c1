"""What is counted in a dialogue."""

from __future__ import annotations

import pytest

from kosum_pl.data.profiles import count_speakers, count_turns, profile_columns, profile_values
from kosum_pl.types import Dialogue


@pytest.mark.parametrize(
    ("text", "num_turns", "num_speakers"),
    [
        ("#Person1#: 안녕!\n#Person2#: 응.\n#Person1#: 가자.", 3, 2),
        ("#Person1#:안녕!\n\n#Person2#:응.", 2, 2),
        ("지민: 안녕!\n수아: 응.\n지민: 10:30에 봐.", 3, 2),
        ("10:30에 보자.\n그래.", 2, 0),
        ("", 0, 0),
    ],
)
def test_turns_and_speakers(text: str, num_turns: int, num_speakers: int) -> None:
    assert (count_turns(text), count_speakers(text)) == (num_turns, num_speakers)


def test_columns_and_values() -> None:
    rows = [
        Dialogue(example_id="a", text="네", profile={"weekday": "7.0", "topic": " "}),
        Dialogue(example_id="b", text="네", profile={"weekday": "6"}),
    ]
    assert profile_columns(rows) == ("weekday",)
    assert profile_values(rows, column="weekday") == ["7", "6"]
    assert profile_values(rows, column="topic") == ["", ""]
