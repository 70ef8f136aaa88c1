"""Hangul and broken characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics import hangul_letters, is_broken


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("", (0, 0)),
        ("3시 30분!", (2, 2)),
        ("#Person1#은 #PhoneNumber#로", (2, 2)),
        ("Person1은", (1, 7)),
        ("ㅋㅋ KTX 漢字", (2, 7)),
        ("가\u302e㉠\ufffd", (1, 1)),
        (unicodedata.normalize("NFD", "한é"), (3, 4)),
    ],
)
def test_letters(text: str, letters: tuple[int, int]) -> None:
    assert hangul_letters(text) == letters


@given(text=st.text())
def test_letters_are_what_pythons_database_calls_so(text: str) -> None:
    known = "".join(char for char in text if unicodedata.name(char, "") and char != "#")
    letters = [char for char in known if unicodedata.category(char).startswith("L")]
    hangul = [char for char in letters if "HANGUL" in unicodedata.name(char)]
    assert hangul_letters(known) == (len(hangul), len(letters))


def test_broken_characters_are_these_and_no_others() -> None:
    broken = {0xFFFD, *range(0xD800, 0xE000), *range(0x1100, 0x1200), *range(0xA960, 0xA980), *range(0xD7B0, 0xD800)}
    assert {code for code in range(0x20000) if is_broken(f"가{chr(code)}나")} == broken
