"""The situations' format and that every shipped situation is sound."""

from __future__ import annotations

import pytest

from kosum_pl.demo.situations import find_faults, load_situations, parse_situations

SOUND = """== 우산 찾기
$ name=given; t=clock; num*=두 개/세 개; low+high=bargain
A: {name:아}, [안녕|반가워]. 우산 {num} 봤어?
? B: {t}에 봤어.
+ B: {low}에서 {high} 정도 하겠다.
B: 응.
= {A:이} {name}에게 우산 {num:을} 묻는다.
= {name:은} 우산을 찾는다.
=+ {A:이} {name}에게 우산을 물음. {t}에 보았고 {low:이라고} 함.
=+ {name:이} 우산 {num:을} 찾음.
"""


def test_parse_reads_every_part() -> None:
    situation, *others = parse_situations(SOUND, source="x.txt")
    assert not others
    assert situation.topic == "우산 찾기"
    assert [(slot.names, slot.kind, slot.is_copied) for slot in situation.slots] == [
        (("name",), "given", True),
        (("t",), "clock", True),
        (("num",), "", True),
        (("low", "high"), "bargain", True),
    ]
    assert situation.slots[2].choices == (("두 개",), ("세 개",))
    assert [(turn.role, turn.mark, turn.block) for turn in situation.turns] == [
        ("A", "", 0),
        ("B", "?", 1),
        ("B", "+", 2),
        ("B", "", 3),
    ]
    assert (len(situation.references), len(situation.saturday_references)) == (2, 2)
    assert find_faults(situation) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("= {name:은} 우산을 찾는다.", "= {name:은} {t}에 찾는다.", "'t' may be missing"),
        ("우산 {num} 봤어?", "우산 봤어?", "slot 'num' is never said"),
        ("B: 응.", "B: 응, {who:이} 봤어.", "'who' is said but is no slot"),
        ("= {name:은} 우산을 찾는다.\n", "", "fewer than two references"),
        # A value that stands in one of two choices only cannot be relied on.
        ("우산 {num} 봤어?", "[우산 {num} 봤어?|우산 봤어?]", "'num' may be missing"),
        ("= {name:은} 우산을 찾는다.", "= {C:은} 우산을 찾는다.", "'C' may be missing"),
    ],
)
def test_faults_are_found(old: str, new: str, expected: str) -> None:
    assert old in SOUND
    (situation,) = parse_situations(SOUND.replace(old, new), source="x.txt")
    assert expected in "; ".join(find_faults(situation))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("안녕하세요.", "x.txt:12: is none of"),
        ("Z: 안녕.", "x.txt:12: is none of"),
        ("$ item=우산", "x.txt:12: slot 'item=우산' is neither"),
        ("$ a+b=우산/지갑+가방", "x.txt:12: slot"),
    ],
)
def test_bad_lines_are_named(line: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_situations(SOUND + "\n" + line + "\n", source="x.txt")


def test_line_before_any_topic_is_named() -> None:
    with pytest.raises(ValueError, match=r"x\.txt:1:"):
        parse_situations("A: 안녕.\n", source="x.txt")


def test_shipped_situations() -> None:
    situations = load_situations()
    topics = [situation.topic for situation in situations]
    assert len(topics) == len(set(topics)) >= 40
    assert max(len({turn.role for turn in situation.turns}) for situation in situations) == 4
    texts = [turn.text for situation in situations for turn in situation.turns]
    for word in ("KTX", "PPT", "#PhoneNumber#", "#Address#", "#SSN#", "#CardNumber#", "#CarNumber#"):
        assert any(word in text for text in texts), word
