"""Particles (조사) that agree with the word before them.

In: a word as it is written and a particle in its form after a consonant. Out: the form that fits the word as it is
read aloud. The generator needs it because a template does not know which name or number will fill it, and people
read `KTX`, `3시` and `#Person2#` as Korean words.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

_FIRST_SYLLABLE: Final = 0xAC00
_LAST_SYLLABLE: Final = 0xD7A3
_NUM_FINALS: Final = 28
_RIEUL: Final = 8


class Ending(Enum):
    """How a word ends in speech."""

    VOWEL = "vowel"
    RIEUL = "rieul"
    CONSONANT = "consonant"


PARTICLES: Final[dict[str, str]] = {
    "은": "는",
    "이": "가",
    "을": "를",
    "과": "와",
    "아": "야",
    "으로": "로",
    "으로도": "로도",
    "으로부터": "로부터",
    "이에요": "예요",
    "이었어요": "였어요",
    "이었다": "였다",
    "~": "",  # the 이 that follows a friend's name in casual speech: 지훈이 생일, 민지 생일
}
"""Form after a consonant → form after a vowel; any other particle that starts with 이 just loses it."""

_DAYS_WITHOUT_PARTICLE: Final = ("오늘", "내일", "모레", "어제")

_DIGIT_READINGS: Final = dict(zip("0123456789", "영일이삼사오육칠팔구", strict=True))
_LETTER_READINGS: Final = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        "이비시디이프지치이이이엘엠엔오피큐알스티유이유스이트",
        strict=True,
    )
)
"""Last syllable of each letter's Korean name: X is 엑스, W is 더블유."""

_WORD_READINGS: Final[dict[str, str]] = {
    "Wi-Fi": "와이파이",
    "CT": "시티",
    "email": "이메일",
    "kg": "킬로그램",
    "g": "그램",
    "km": "킬로미터",
    "cm": "센티미터",
    "m": "미터",
    "ml": "밀리리터",
    "L": "리터",
    "%": "퍼센트",
    "℃": "도",
    "#PhoneNumber#": "전화번호",
    "#Address#": "주소",
    "#DateOfBirth#": "생년월일",
    "#PassportNumber#": "여권번호",
    "#SSN#": "주민등록번호",
    "#CardNumber#": "카드번호",
    "#CarNumber#": "차번호",
    "#Email#": "이메일",
}
_TAIL: Final = re.compile(r"(#[A-Za-z]+#|#Person\d+#|[A-Za-z][A-Za-z-]*|\d[\d,.]*|[^\s])[\s\"'”’)\]]*$")


def final_consonant(syllable: str) -> int:
    """Number of a Hangul syllable's final consonant, 0 where it has none, 8 for ㄹ.

    Args:
        syllable: One character from 가 to 힣.

    Returns:
        0 to 27, in the order of the Unicode standard.

    Raises:
        ValueError: Not a Hangul syllable.

    Source:
        The Unicode Standard, section 3.12, Hangul syllable decomposition.

    Example:
        >>> final_consonant("가"), final_consonant("물"), final_consonant("밥")
        (0, 8, 17)
    """
    code = ord(syllable)
    if not _FIRST_SYLLABLE <= code <= _LAST_SYLLABLE:
        raise ValueError(f"'{syllable}' is not a Hangul syllable; give one character from 가 to 힣")
    return (code - _FIRST_SYLLABLE) % _NUM_FINALS


def _read_number(digits: str) -> str:
    """The syllable a number ends in: 3 → 삼, 20 → 십, 300 → 백, 10,000 → 만."""
    plain = digits.rstrip(",.").replace(",", "")
    num_zeros = len(plain) - len(plain.rstrip("0"))
    if num_zeros in (0, len(plain)) or "." in plain:
        return _DIGIT_READINGS[plain[-1]]
    return {1: "십", 2: "백", 3: "천"}.get(num_zeros, "만" if num_zeros < 8 else "억")


def _last_reading(word: str) -> str:
    """The last syllable of a word as it is read aloud."""
    found = _TAIL.search(word)
    if found is None:
        raise ValueError(f"no word to put a particle after in '{word}'; give a word, a number or a tag")
    tail = found.group(1)
    if tail in _WORD_READINGS:
        return _WORD_READINGS[tail][-1]
    if tail.startswith("#Person"):
        return _read_number(tail.removeprefix("#Person").rstrip("#"))
    if tail[0].isdigit() and tail[0].isascii():
        return _read_number(tail)
    if tail[-1].isascii() and tail[-1].isalpha():
        return _LETTER_READINGS[tail[-1].upper()]
    return tail[-1]


def word_ending(word: str) -> Ending:
    """How the word ends in speech; digits, letters, units and tags are read in Korean.

    Letters are read by name (PPT is 피피티), unless the word is among the few known ones (Wi-Fi, kg).
    A character that is none of these counts as a vowel.

    Args:
        word: Any text; its last word counts, quotes and brackets after it do not.

    Raises:
        ValueError: The text is empty or blank.

    Example:
        >>> [word_ending(word).name for word in ("KTX", "ATM", "7", "3kg", "#Person2#", "서울")]
        ['VOWEL', 'CONSONANT', 'RIEUL', 'CONSONANT', 'VOWEL', 'RIEUL']
    """
    last = _last_reading(word)
    if not _FIRST_SYLLABLE <= ord(last) <= _LAST_SYLLABLE:
        return Ending.VOWEL
    final = final_consonant(last)
    return Ending.VOWEL if final == 0 else Ending.RIEUL if final == _RIEUL else Ending.CONSONANT


def particle_form(word: str, particle: str) -> str:
    """The form of a particle after a word, without the word.

    Args:
        word: The word before the particle.
        particle: Its form after a consonant: 은, 이, 을, 과, 으로, 이에요, 이랑, …; `~` for the 이 of 지훈이;
            에 of time, which falls away after 내일 and its like.

    Raises:
        ValueError: The particle does not change with the word before it, so it needs no agreement.

    Example:
        >>> particle_form("PPT", "을"), particle_form("부산", "으로"), particle_form("서울", "으로")
        ('를', '으로', '로')
    """
    if particle not in PARTICLES and particle != "에" and not particle.startswith("이"):
        raise ValueError(f"particle '{particle}' has one form only; write it in the template without a colon")
    if particle == "에":
        return "" if word.endswith(_DAYS_WITHOUT_PARTICLE) else "에"
    ending = word_ending(word)
    if ending is Ending.RIEUL and particle.startswith("으로"):
        return particle.removeprefix("으")
    if ending is not Ending.VOWEL:
        return "이" if particle == "~" else particle
    return PARTICLES.get(particle, particle.removeprefix("이"))


def attach(word: str, particle: str) -> str:
    """The word with its particle.

    Example:
        >>> attach("#Person1#", "은"), attach("#Person2#", "은"), attach("민지", "이에요")
        ('#Person1#은', '#Person2#는', '민지예요')
    """
    return word + particle_form(word, particle)
