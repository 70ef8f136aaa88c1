"""`complete_sentence`: by hand, against texts put together of known sentences, and on real references cut anywhere."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.postprocess.steps import DEFAULT_STEPS, POSTPROCESS_STEPS, Postprocessor
from tests.decode.postprocess.texts import CHARSETS, DIALOGUE, TEXTS

STEP = Postprocessor(["complete_sentence"])


def complete(text: str) -> str:
    return STEP(text, dialogue=DIALOGUE, is_finished=False).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#Person1#은 간다. #Person2#는 온", "#Person1#은 간다."),
        ("정말 갈까? 그래! 좋", "정말 갈까? 그래!"),
        ("정말?! 그래서", "정말?!"),
        ("하나다. 둘이다. #Pers", "하나다. 둘이다."),
        ("#Person1#은 걷자고 한다. 거리는 3.5", "#Person1#은 걷자고 한다."),
        ("간다. 값은 4.80 달러, 3. 그리고 U.S. 얘기, Mr. White와 Dr. K의", "간다."),
        ("간다. 값은 3.", "간다."),
        ("간다. 음... 음… 그러니", "간다."),
        ("회의한다. 가. 가격 나. 배송", "회의한다."),
        ('그는 말한다. "그래." 그리고 떠', '그는 말한다. "그래."'),
        ("(둘은 간다.) 그리고", "(둘은 간다.)"),
        ("“좋아요.” 둘은", "“좋아요.”"),
        ('떠난다. 그는 "좋아요. 그런데', "떠난다."),
        ("떠난다. 둘은 (차가 없다. 돈도", "떠난다."),
        ('만난다. 그는 "가자."라고 말하', "만난다."),
        ('만난다. 그는 "가자." 하고 말하', "만난다."),
        ("간다！ 온다。 다시", "간다！ 온다。"),
        ("100%다. 값은 100%. 다음", "100%다. 값은 100%."),
        ("한 줄이다.\n둘째 줄이", "한 줄이다."),
        ("한 줄이다.\n\n 둘째 줄이다. 셋", "한 줄이다.\n\n 둘째 줄이다."),
        ("간다. 온\n \n", "간다."),
        ("주문한다.\n? 우", "주문한다."),
    ],
)
def test_the_unfinished_last_sentence_goes(text: str, expected: str) -> None:
    assert complete(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "간다.",
        "간다. 온다.\n",
        "간다.  온다!  ",
        "아직 하나도 끝나지",
        "3.5km를 Mr. White와 걷",
        '"좋아요. 그런',
        "... 그러니",
        "?! 그러니",
        "그는 “갑니다.",
        # A whole item has no mark either.
        "주문한다.\n- 커피\n- 빵\n- 우",
        "- 커피\n- 빵",
    ],
)
def test_what_has_no_whole_sentence_before_stays(text: str) -> None:
    assert complete(text) == text


WHOLE = st.sampled_from(
    [
        *("#Person1#은 3.5km를 걷는다.", "U.S. 얘기를 한다.", "Mr. White는 5시에 온다!", "왜 “가자.”라고 했을까?"),
        *('그는 "가자." 하고 말한다.', "(비가 온다.)", '"네, 그래요."', "음... 생각한다.", "값은 119,600원이다."),
    ]
)
PIECE = st.sampled_from(
    ["그리고", " #Person1#", " 3.5", " 4.", " Mr. ", " U.S. ", ",", " 음… ", " (", "#Pers", " 가. ", "다", " Jimmy's"]
)


@settings(max_examples=400, deadline=None)
@given(
    whole=st.lists(WHOLE, max_size=5),
    gaps=st.lists(st.sampled_from([" ", "  ", "\n", "\n\n"]), min_size=6, max_size=6),
    tail=st.lists(PIECE, min_size=1, max_size=5).map("".join),
    end=st.sampled_from(["", " ", "\n"]),
)
def test_whole_sentences_are_what_is_left(whole: list[str], gaps: list[str], tail: str, end: str) -> None:
    kept = "".join(text + gap for text, gap in zip(whole, gaps, strict=False))
    text = kept + tail + end
    if tail.strip():
        assert complete(text) == (kept.rstrip() if whole else text)
        assert STEP(text, dialogue=DIALOGUE).text == text


@settings(max_examples=400, deadline=None)
@given(text=TEXTS, charset=CHARSETS, steps=st.permutations(list(POSTPROCESS_STEPS)), count=st.integers(1, 7))
def test_it_settles_beside_other_steps_and_empties_nothing(
    text: str, charset: Charset, steps: list[str], count: int
) -> None:
    for chosen in ([*DEFAULT_STEPS, "complete_sentence"], steps[:count]):
        postprocess = Postprocessor(chosen, charset=charset)
        once = postprocess(text, dialogue=DIALOGUE, is_finished=False).text
        assert postprocess(once, dialogue=DIALOGUE, is_finished=False).changed == ()
    alone = complete(text)
    assert text.startswith(alone)
    assert alone == text or any(char.isalnum() for char in alone)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_finished_summaries_are_as_without_it(text: str) -> None:
    done = Postprocessor([*DEFAULT_STEPS, "complete_sentence"])(text, dialogue=DIALOGUE)
    assert done == Postprocessor()(text, dialogue=DIALOGUE)


def test_it_is_known_and_off_unless_named() -> None:
    assert "complete_sentence" in POSTPROCESS_STEPS
    assert "complete_sentence" not in DEFAULT_STEPS
    assert Postprocessor()("간다. 온", dialogue="", is_finished=False).text == "간다. 온"
    cut = Postprocessor([*DEFAULT_STEPS, "complete_sentence"])("간다 . 간다. 간다. 온", dialogue="", is_finished=False)
    assert cut.text == "간다."
    assert cut.changed == ("whitespace", "repeated_sentences", "complete_sentence")


@pytest.mark.shared
def test_real_references_cut_anywhere_keep_their_whole_sentences(shared_dir: Path) -> None:
    """Kiwi, which reads morphemes, says where sentences end."""
    from kiwipiepy import Kiwi

    kiwi = Kiwi()
    with (shared_dir / "data" / "dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 499
    for number, row in enumerate(rows):
        summary = row["summary"]
        assert complete(summary) == summary
        ends = [sentence.end for sentence in kiwi.split_into_sents(summary)]
        cut = len(summary) * (number % 9 + 1) // 10
        expected = max((end for end in ends if end <= cut), default=0)
        assert complete(summary[:cut]).rstrip() == summary[: expected or cut].rstrip()
