"""Particles against a table of words people write and against the composition of Hangul syllables."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.demo.particles import attach

SYLLABLES = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
RIEUL = "\u11af"


def jongseong(syllable: str) -> str:
    """The final consonant by canonical decomposition, which knows nothing of our arithmetic."""
    letters = unicodedata.normalize("NFD", syllable)
    return letters[2] if len(letters) == 3 else ""


def has_final(word: str) -> bool:
    return bool(jongseong(word[-1]))


@pytest.mark.parametrize(
    ("word", "particle", "expected"),
    [
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
        ("10,000", "을", "10,000을"),
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


@pytest.mark.parametrize(
    "forms",
    [
        "은/는",
        "이/가",
        "을/를",
        "과/와",
        "아/야",
        "이에요/예요",
        "이었어요/였어요",
        "이다/다",
        "이가/가",
        "이랑/랑",
        "~이/~",
    ],
)
@given(st.text(SYLLABLES, min_size=1, max_size=5))
def test_any_hangul_word_takes_the_form_its_last_syllable_asks_for(forms: str, word: str) -> None:
    after_consonant, after_vowel = forms.split("/")
    particle = after_consonant.removesuffix("이") if forms.startswith("~") else after_consonant
    expected = (after_consonant if has_final(word) else after_vowel).removeprefix("~")
    assert attach(word, particle) == word + expected


@given(st.text(SYLLABLES, min_size=1, max_size=5))
def test_after_rieul_the_eu_falls_away(word: str) -> None:
    for particle in ("으로", "으로도", "으로부터"):
        is_short = not has_final(word) or jongseong(word[-1]) == RIEUL
        assert attach(word, particle) == word + (particle[1:] if is_short else particle)


@given(st.integers(min_value=0, max_value=99_999_999))
def test_numbers_end_as_they_are_read(number: int) -> None:
    # A zero at the end is read as 영, 십, 백, 천 or 만.
    assert attach(str(number), "이") == f"{number}{'가' if number % 10 in (2, 4, 5, 9) else '이'}"
    assert attach(str(number), "으로") == f"{number}{'으로' if number % 10 in (0, 3, 6) else '로'}"


@pytest.mark.parametrize(
    ("word", "particle", "message"),
    [
        *(("민지", particle, "one form only") for particle in ("도", "에게", "까지", "")),
        *((word, "은", "no word") for word in ("", "  ")),
    ],
)
def test_particles_of_one_form_and_blank_words_are_refused(word: str, particle: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attach(word, particle)
