"""Scripts of characters, against their names in Python's own Unicode database."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest

from kosum_pl.metrics.scripts import SCRIPTS, script_of

# Beginnings of names that tell the script for sure.
NAMES = {
    "CJK UNIFIED IDEOGRAPH-": "Han",
    "CJK COMPATIBILITY IDEOGRAPH-": "Han",
    "HIRAGANA LETTER": "Hiragana",
    "KATAKANA LETTER": "Katakana",
    "HALFWIDTH KATAKANA LETTER": "Katakana",
    "LATIN CAPITAL LETTER": "Latin",
    "LATIN SMALL LETTER": "Latin",
    "FULLWIDTH LATIN": "Latin",
    "CYRILLIC CAPITAL LETTER": "Cyrillic",
    "CYRILLIC SMALL LETTER": "Cyrillic",
    "GREEK SMALL LETTER": "Greek",
    "ARABIC LETTER": "Arabic",
    "HEBREW LETTER": "Hebrew",
    "THAI CHARACTER": "Thai",
    "DEVANAGARI LETTER": "Devanagari",
    "HANGUL SYLLABLE": "Hangul",
    "HANGUL LETTER": "Hangul",
    "HANGUL CHOSEONG": "Hangul",
    "HALFWIDTH HANGUL LETTER": "Hangul",
    "GEORGIAN LETTER": "Other",
    "BENGALI LETTER": "Other",
    "BOPOMOFO LETTER": "Other",
}
BEGINNING = re.compile("|".join(f"({name})" for name in NAMES))


def test_named_letters_of_all_planes() -> None:
    scripts = list(NAMES.values())
    seen = set()
    for char in map(chr, range(sys.maxunicode + 1)):
        found = BEGINNING.match(unicodedata.name(char, ""))
        # Marks of a script are named after it, and inherited where several scripts use them.
        if found and found.lastindex and unicodedata.category(char) != "Mn":
            assert script_of(char) == scripts[found.lastindex - 1], unicodedata.name(char)
            seen.add(found.lastindex)
    assert len(seen) == len(NAMES)


def test_nothing_else_is_taken_for_a_letter_of_a_script() -> None:
    words = {
        "Han": "CJK|KANGXI",
        "Hiragana": "HIRAGANA",
        "Katakana": "KATAKANA",
        "Cyrillic": "CYRILLIC",
        "Thai": "THAI",
    }
    for char in map(chr, range(0x10000)):
        if script_of(char) in words and unicodedata.category(char) in ("Lu", "Ll", "Lo"):
            name = unicodedata.name(char)
            assert re.search(words[script_of(char)], name), name


@pytest.mark.parametrize(
    ("char", "script"),
    [
        *[("1", "Common"), (".", "Common"), (" ", "Common"), ("★", "Common"), ("😀", "Common"), ("\ufffd", "Common")],
        *[("ー", "Common"), ("\u0301", "Inherited"), ("𠮷", "Han"), ("々", "Han"), ("ª", "Latin"), ("１", "Common")],
        *[("\ud800", "Other"), ("\u0378", "Other"), ("\ue000", "Other")],
    ],
)
def test_marks_and_edges(char: str, script: str) -> None:
    assert script_of(char) == script
    assert script in SCRIPTS


@pytest.mark.parametrize(("text", "count"), [("", 0), ("한글", 2)])
def test_only_one_character_has_a_script(text: str, count: int) -> None:
    with pytest.raises(ValueError, match=rf"^script_of got {count} characters \('{text}'\); give it one at a time$"):
        script_of(text)
