"""Particles (조사) that agree with the word before them.

In: a word as it is written and a particle in its form after a consonant. Out: the form that fits the word as it is
read aloud. The generator needs it because a template does not know which name or number will fill it, and people
read `KTX`, `3시` and `#Person2#` as Korean words.
"""

from __future__ import annotations

import re
from typing import Final

_NUM_FINALS: Final = 28
_RIEUL: Final = 8

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
    zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "이비시디이프지치이이이엘엠엔오피큐알스티유이유스이트", strict=True)
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


def _final_consonant(word: str) -> int:
    """Number of the consonant that the word ends in when it is read aloud: 0 for a vowel, 8 for ㄹ.

    Source:
        The Unicode Standard, section 3.12, Hangul syllable decomposition.
    """
    last = _last_reading(word)
    return (ord(last) - ord("가")) % _NUM_FINALS if "가" <= last <= "힣" else 0


def attach(word: str, particle: str) -> str:
    """The word with its particle.

    Digits, units and tags before it are read in Korean, letters by name (PPT is 피피티) but for the few known words
    (Wi-Fi, kg). A character that is none of these counts as a vowel.

    Args:
        word: Any text; its last word counts, quotes and brackets after it do not.
        particle: Its form after a consonant: 은, 이, 을, 과, 으로, 이에요, 이랑, …; `~` for the 이 of 지훈이;
            에 of time, which falls away after 내일 and its like.

    Example:
        >>> attach("#Person1#", "은"), attach("#Person2#", "은"), attach("PPT", "을"), attach("서울", "으로")
        ('#Person1#은', '#Person2#는', 'PPT를', '서울로')
    """
    if particle == "에":
        return word if word.endswith(_DAYS_WITHOUT_PARTICLE) else word + particle
    if particle not in PARTICLES and not particle.startswith("이"):
        raise ValueError(f"particle '{particle}' has one form only; write it in the template without a colon")
    final = _final_consonant(word)
    if final == 0:
        return word + PARTICLES.get(particle, particle.removeprefix("이"))
    if final == _RIEUL and particle.startswith("으로"):
        return word + particle.removeprefix("으")
    return word + ("이" if particle == "~" else particle)
