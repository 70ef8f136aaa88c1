"""Hangul and broken characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics import TextQuality, hangul_letters, is_broken


def values(metric: TextQuality) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


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


def test_letters_are_summed_and_rows_are_counted() -> None:
    metric = TextQuality()
    metric.update(["#Person1#은 KTX를", "123"])
    metric.update(["가나다라\ufffd\ufffd", "\u1100 \ud83d"])
    # 2 of 5, 0 of 0, 4 of 4 and 1 of 1 letters; rows 2 and 3 are broken.
    assert values(metric) == pytest.approx({"hangul_ratio": 7 / 10, "broken_rate": 2 / 4})


def test_no_letters_have_no_ratio() -> None:
    metric = TextQuality()
    metric.update(["", "123", "#Person1#"])
    assert values(metric) == {"broken_rate": 0.0}


def test_ranks_add_up() -> None:
    first, second, whole = TextQuality(), TextQuality(), TextQuality()
    first.update(["가a"])
    second.update(["나bc\ufffd", "다"])
    whole.update(["가a", "나bc\ufffd", "다"])
    first.merge_state(second)
    assert values(first) == values(whole) == pytest.approx({"hangul_ratio": 3 / 6, "broken_rate": 1 / 3})


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^TextQuality has seen no row; give it predictions before compute\(\)"):
        TextQuality().compute()


def test_a_bare_text_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^TextQuality: predictions is str; give a list with one entry a row$"):
        TextQuality().update("가나")
