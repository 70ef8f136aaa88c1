"""Particles against a table of words people write and against the composition of Hangul syllables."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.demo.particles import Ending, attach, final_consonant, particle_form, word_ending

SYLLABLES = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
RIEUL = "\u11af"


def jongseong(syllable: str) -> str:
    """The final consonant by canonical decomposition, which knows nothing of our arithmetic."""
    letters = unicodedata.normalize("NFD", syllable)
    return letters[2] if len(letters) == 3 else ""


@pytest.mark.parametrize(
    ("word", "particle", "expected"),
    [
        ("민준", "은", "민준은"),
        ("민지", "은", "민지는"),
        ("서울", "을", "서울을"),
        ("제주도", "을", "제주도를"),
        ("부산", "으로", "부산으로"),
        ("서울", "으로", "서울로"),
        ("제주", "으로", "제주로"),
        ("서울", "으로도", "서울로도"),
        ("친구", "과", "친구와"),
        ("선생님", "과", "선생님과"),
        ("민준", "아", "민준아"),
        ("민지", "아", "민지야"),
        ("학생", "이에요", "학생이에요"),
        ("의사", "이에요", "의사예요"),
        ("의사", "이었어요", "의사였어요"),
        ("학생", "이다", "학생이다"),
        ("의사", "이다", "의사다"),
        ("지훈", "이가", "지훈이가"),
        ("민지", "이가", "민지가"),
        ("지훈", "이랑", "지훈이랑"),
        ("민지", "이네", "민지네"),
        ("지훈", "~", "지훈이"),
        ("민지", "~", "민지"),
        ("내일", "에", "내일"),
        ("모레", "에", "모레"),
        ("다음 주 화요일", "에", "다음 주 화요일에"),
        # Tags end as their digit is read: 일, 이, 삼, 사, 오, 육, 칠.
        ("#Person1#", "은", "#Person1#은"),
        ("#Person2#", "은", "#Person2#는"),
        ("#Person3#", "이", "#Person3#이"),
        ("#Person4#", "이", "#Person4#가"),
        ("#Person7#", "으로", "#Person7#로"),
        ("#Person10#", "을", "#Person10#을"),
        ("#PhoneNumber#", "을", "#PhoneNumber#를"),
        ("#Email#", "으로", "#Email#로"),
        ("#SSN#", "이", "#SSN#가"),
        # Letters are read by name.
        ("KTX", "을", "KTX를"),
        ("PPT", "을", "PPT를"),
        ("UFO", "이", "UFO가"),
        ("ATM", "은", "ATM은"),
        ("URL", "으로", "URL로"),
        ("LAN", "으로", "LAN으로"),
        ("MRI", "은", "MRI는"),
        ("Wi-Fi", "이", "Wi-Fi가"),
        # Numbers and units are read in Sino-Korean.
        ("3", "을", "3을"),
        ("7", "으로", "7로"),
        ("9", "은", "9는"),
        ("20", "이", "20이"),
        ("100", "으로", "100으로"),
        ("10,000", "을", "10,000을"),
        ("0", "이", "0이"),
        ("2.5", "을", "2.5를"),
        ("3%", "은", "3%는"),
        ("5kg", "이에요", "5kg이에요"),
        ("10km", "을", "10km를"),
        ("오후 3시", "이에요", "오후 3시예요"),
        ("2만 원", "이라고", "2만 원이라고"),
        ("3학년", "이", "3학년이"),
        ("'부산'", "으로", "'부산'으로"),
        ("김민지(팀장)", "은", "김민지(팀장)은"),
    ],
)
def test_attach(word: str, particle: str, expected: str) -> None:
    assert attach(word, particle) == expected


@given(SYLLABLES)
def test_final_consonant_is_that_of_the_decomposition(syllable: str) -> None:
    expected = ord(jongseong(syllable)) - 0x11A7 if jongseong(syllable) else 0
    assert final_consonant(syllable) == expected


@given(st.text(SYLLABLES, min_size=1, max_size=5))
def test_any_hangul_word_takes_the_form_its_last_syllable_asks_for(word: str) -> None:
    final = jongseong(word[-1])
    assert word_ending(word) is (Ending.VOWEL if not final else Ending.RIEUL if final == RIEUL else Ending.CONSONANT)
    for after_consonant, after_vowel in (("은", "는"), ("이", "가"), ("을", "를"), ("과", "와"), ("이에요", "예요")):
        assert attach(word, after_consonant) == word + (after_consonant if final else after_vowel)
    assert attach(word, "으로") == word + ("으로" if final and final != RIEUL else "로")


@given(st.integers(min_value=0, max_value=99_999_999))
def test_numbers_end_as_they_are_read(number: int) -> None:
    digits = str(number)
    if digits[-1] == "0":
        assert word_ending(digits) is Ending.CONSONANT  # 영, 십, 백, 천, 만
    else:
        expected = {"2", "4", "5", "9"}
        assert (word_ending(digits) is Ending.VOWEL) is (digits[-1] in expected)
        assert (word_ending(digits) is Ending.RIEUL) is (digits[-1] in {"1", "7", "8"})


@pytest.mark.parametrize("particle", ["도", "에게", "까지", ""])
def test_particles_of_one_form_are_refused(particle: str) -> None:
    with pytest.raises(ValueError, match="one form only"):
        particle_form("민지", particle)


@pytest.mark.parametrize("word", ["", "  "])
def test_blank_words_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="no word"):
        word_ending(word)


def test_final_consonant_refuses_other_letters() -> None:
    with pytest.raises(ValueError, match="not a Hangul syllable"):
        final_consonant("A")
