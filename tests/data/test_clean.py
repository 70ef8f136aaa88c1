from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.data.clean import CLEANING_STEPS, DEFAULT_CLEANING, make_cleaner

clean = make_cleaner(DEFAULT_CLEANING)
noise = st.lists(
    st.sampled_from(["#Person1#: ", "안녕", "\u1112\u1161\u11ab", "KTX", "\\n", "\\r\\n", "<br>", "<BR />", "</br>"])
    | st.sampled_from("\r\n\t\u00a0\u3000\u200b\ufeff\u2028\x00 ")
).map("".join)


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        ("line_ends", "가\r\n나\r다\u2028라\n", "가\n나\n다\n라\n"),
        ("literal_newlines", r"가\n나\r\n다", "가\n나\n다"),
        ("literal_newlines", r"C:\data", r"C:\data"),
        ("br_tags", "가<br>나<br/>다<BR >라</br>마<b>바", "가\n나\n다\n라\n마<b>바"),
        ("nfc", "\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
        ("spaces", " \ufeff가\u00a0\u3000 나\u200b다\t \n\n \n라 ", "가 나다\n라"),
        ("spaces", "가족 👨\u200d👩\u200d👧", "가족 👨\u200d👩\u200d👧"),
    ],
)
def test_each_step_does_what_its_name_says(step: str, text: str, expected: str) -> None:
    assert CLEANING_STEPS[step](text) == expected


def test_a_step_that_is_not_listed_does_not_run() -> None:
    assert make_cleaner(["nfc"])("가<br>나\\n \r\n") == "가<br>나\\n \r\n"
    assert make_cleaner([])(" \u1112\u1161 ") == " \u1112\u1161 "


def test_steps_run_in_the_order_given() -> None:
    text = "가\\n\\n나"
    assert make_cleaner(["literal_newlines", "spaces"])(text) == "가\n나"
    assert make_cleaner(["spaces", "literal_newlines"])(text) == "가\n\n나"


def test_an_unknown_step_lists_the_known_ones() -> None:
    message = "data.cleaning: unknown step 'nfd'; known: line_ends, literal_newlines, br_tags, spaces, nfc"
    with pytest.raises(ValueError, match=f"^{message};"):
        make_cleaner(["nfc", "nfd"])


@pytest.mark.parametrize(
    "text", ["a\\\u00adn b", "a<b\u200br>b", "a\\\x85nb", "a\\\u00ad\\\u00adnnb", "a<\x00br\x00/>b"]
)
def test_what_an_invisible_character_hides_is_cleaned_too(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert "\u00ad" not in cleaned
    assert "<br" not in cleaned


def test_a_step_of_ones_own_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kosum_pl.data.clean.find_extension", lambda *_, **__: lambda text: f"{text}!")
    assert make_cleaner(["spaces", "shout"])("가") == "가!!"


@given(noise)
def test_a_cleaned_text_is_trimmed_composed_lines_with_all_its_words(text: str) -> None:
    cleaned = clean(text)
    assert unicodedata.is_normalized("NFC", cleaned)
    assert not set(cleaned) & set("\r\u2028\u00a0\u3000\u200b\ufeff\x00\t")
    assert "\\n" not in cleaned
    assert "<br" not in cleaned.lower()
    assert all(line and line == line.strip() and "  " not in line for line in cleaned.split("\n")) or cleaned == ""
    assert clean(cleaned) == cleaned
    assert cleaned.count("안녕") == text.count("안녕")
    assert cleaned.count("한") == text.count("\u1112\u1161\u11ab")
