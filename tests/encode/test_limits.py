from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.encode import TokenLimits
from kosum_pl.encode.limits import fit_dialogue

NUM_INSTRUCTIONS = 3


def to_ids(dialogue: str) -> list[int]:
    """An id a character, three of instructions in front."""
    return [0] * NUM_INSTRUCTIONS + [ord(character) for character in dialogue]


def fit(text: str, limit: int, truncation: str = "oldest") -> tuple[str, int]:
    limits = TokenLimits(max_source_tokens=limit, max_summary_tokens=8, truncation=truncation)
    ids, dropped = fit_dialogue(text, to_ids=to_ids, limits=limits, example_id="a")
    assert ids[:NUM_INSTRUCTIONS] == [0] * NUM_INSTRUCTIONS
    return "".join(map(chr, ids[NUM_INSTRUCTIONS:])), dropped


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_source_tokens": 0}, "data.max_source_tokens is 0"),
        ({"max_summary_tokens": 1}, "data.max_summary_tokens is 1; give at least 2"),
        ({"truncation": "newest"}, "data.truncation is 'newest'; known: oldest, middle"),
        ({"supervised_turns": "first"}, "data.supervised_turns is 'first'; known: last, all"),
    ],
)
def test_limits_are_checked(values, message) -> None:
    with pytest.raises(ValueError, match=message):
        TokenLimits(**({"max_source_tokens": 9, "max_summary_tokens": 9} | values))


FIVE = "A: 1\nB: 2\nA: 3\nB: 4\nA: 5"  # five turns of four, 24 with line breaks


@pytest.mark.parametrize(
    ("text", "limit", "truncation", "kept"),
    [
        ("A: 가\nB: 나", 12, "oldest", "A: 가\nB: 나"),
        (FIVE, 26, "oldest", "B: 2\nA: 3\nB: 4\nA: 5"),
        (FIVE, 22, "oldest", "B: 2\nA: 3\nB: 4\nA: 5"),
        (FIVE, 21, "oldest", "A: 3\nB: 4\nA: 5"),
        (FIVE, 7, "oldest", "A: 5"),
        (FIVE, 26, "middle", "A: 1\nB: 2\nB: 4\nA: 5"),
        (FIVE, 21, "middle", "A: 1\nB: 2\nA: 5"),
        (FIVE, 12, "middle", "A: 1\nA: 5"),
        # Where one end fits, the fuller one stays.
        ("A: 네\nB: 가나다라마", 11, "middle", "B: 가나다라마"),
        ("A: 가나다라마\nB: 네", 11, "middle", "A: 가나다라마"),
        # A turn without a tag is cut; blank lines are no turns.
        ("가나다라마바사", 5, "oldest", "가나"),
        ("A: 1\n\nB: 2", 12, "oldest", "A: 1\nB: 2"),
    ],
)
def test_which_turns_stay(text: str, limit: int, truncation: str, kept: str) -> None:
    assert fit(text, limit, truncation) == (kept, len(text) - len(kept))


@pytest.mark.parametrize("tag", ["#Person1#: ", "민수: ", "김 과장 : ", "상담원： "])
def test_a_single_turn_is_cut_behind_its_tag(tag: str) -> None:
    text = f"{tag}가나다라마바사"
    assert fit(text, NUM_INSTRUCTIONS + len(tag) + 3) == (f"{tag}가나다", 4)
    assert fit(f"A: 앞\n{text}", NUM_INSTRUCTIONS + len(tag) + 3) == (f"{tag}가나다", 9)


@pytest.mark.parametrize("limit", [1, NUM_INSTRUCTIONS, NUM_INSTRUCTIONS + 3])
def test_no_room_for_the_dialogue(limit: int) -> None:
    message = f"example 'a': the instructions take 3 of data.max_source_tokens={limit} tokens .*; raise"
    with pytest.raises(ValueError, match=message) as caught:
        fit("A: 가나다라", limit)
    assert "\n" not in str(caught.value)


def test_empty_dialogue() -> None:
    with pytest.raises(ValueError, match="example 'a': the dialogue is empty"):
        fit("", 10)


TURNS = st.lists(st.text(st.sampled_from("가나 :#"), min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=9)


@given(turns=TURNS, limit=st.integers(4, 60), truncation=st.sampled_from(["oldest", "middle"]))
def test_as_many_whole_turns_as_fit(turns: list[str], limit: int, truncation: str) -> None:
    text = "\n".join(turns)
    try:
        kept, dropped = fit(text, limit, truncation)
    except ValueError:
        assert min(map(len, turns)) > 0
        assert limit < NUM_INSTRUCTIONS + max(map(len, turns))
        return
    assert NUM_INSTRUCTIONS + len(kept) <= limit
    assert dropped == len(text) - len(kept)
    if len(text) + NUM_INSTRUCTIONS <= limit:
        assert kept == text
        return
    # The oracle: every possible number of turns, the largest that fits.
    for count in range(len(turns) - 1, 0, -1):
        first = count if count == 1 and len(turns[0]) >= len(turns[-1]) else (count + 1) // 2 if count > 1 else 0
        last = count - first
        whole = turns[-count:] if truncation == "oldest" else turns[:first] + turns[len(turns) - last :]
        if len("\n".join(whole)) + NUM_INSTRUCTIONS <= limit:
            assert kept == "\n".join(whole)
            return
    assert any(turn.startswith(kept) for turn in turns)
