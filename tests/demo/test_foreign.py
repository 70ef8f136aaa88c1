"""Foreign words: which rows have them, and what stays as it is."""

from __future__ import annotations

import re
import unicodedata
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.demo.compose import DemoRow, compose
from kosum_pl.demo.foreign import FOREIGN_WORDS, contaminate, say_foreign
from kosum_pl.demo.situations import load_situations
from kosum_pl.demo.values import FULL_NAMES, SAMPLERS

SEEDS = st.integers(min_value=0, max_value=10_000)
SITUATIONS = load_situations()


def row(*summaries: str, dialogue: str = "#Person1#: 안녕?") -> DemoRow:
    return DemoRow(dialogue=dialogue, summaries=summaries, topic="인사", weekday=2, slots=())


ROWS = [row("식당을 예약한다.", "예약이 찼다.", dialogue=f"#Person1#: {number}번이요.") for number in range(20)]


@st.composite
def composed(draw: st.DrawFn) -> DemoRow:
    situation, weekday = draw(st.sampled_from(SITUATIONS)), draw(st.integers(min_value=1, max_value=7))
    return compose(situation, weekday=weekday, rng=Random(draw(SEEDS)))


def script(word: str) -> str:
    return unicodedata.name(word[0]).split()[0]


def test_table_has_many_words_in_several_scripts() -> None:
    assert 60 <= len(FOREIGN_WORDS) <= 100
    assert {script(word) for word in FOREIGN_WORDS} == {"HANGUL"}
    assert {script(word) for word in FOREIGN_WORDS.values()} == {"CJK", "KATAKANA", "LATIN", "CYRILLIC", "THAI"}


def test_foreign_words_are_told_apart_and_survive_cleaning() -> None:
    foreign = FOREIGN_WORDS.values()
    assert len(set(foreign)) == len(foreign)
    assert all(unicodedata.is_normalized("NFC", word) for word in foreign)
    assert not any(re.search(r"[가-힣\d#|]", word) for word in foreign)
    for word in FOREIGN_WORDS:
        assert not [other for other in FOREIGN_WORDS if other != word and other.startswith(word)]


@pytest.mark.parametrize(
    ("korean", "foreign"),
    [
        ("#Person1#이 회의를 오후 3시로 미룬다.", "#Person1#이 meeting를 오후 3시로 미룬다."),
        ("식당을 예약한다.", "餐厅을 預約한다."),
        ("예약을 확인하고 예약한다.", "預約을 確認하고 預約한다."),
        ("프린터가 고장 났다.", "プリンター가 故障 났다."),
        ("감기약을 샀다.", "感冒약을 샀다."),
        ("강이사가 온다.", "강이사가 온다."),  # within a word it is another word
        ("", ""),
        (" ".join(FULL_NAMES), " ".join(FULL_NAMES)),
    ],
)
def test_words_change_and_particles_stay(korean: str, foreign: str) -> None:
    assert say_foreign(korean) == foreign


@given(st.sampled_from(sorted(SAMPLERS)), SEEDS)
def test_sampled_values_stay(kind: str, seed: int) -> None:
    drawn = SAMPLERS[kind](Random(seed))
    for value in (drawn,) if isinstance(drawn, str) else drawn:
        assert say_foreign(f"{value} {value}이 {value}에게") == f"{value} {value}이 {value}에게"


@given(composed())
def test_slots_stay_and_dialogues_hold_no_foreign_word(row: DemoRow) -> None:
    (foreign,) = contaminate([row], share=1, seed=0)
    assert (foreign.dialogue, foreign.slots) == (row.dialogue, row.slots)
    assert all(slot in foreign.summaries[0] for slot in row.slots)
    assert not any(word in foreign.dialogue for word in FOREIGN_WORDS.values())
    for old, new in zip(row.summaries, foreign.summaries, strict=True):
        assert re.findall(r"#\w+#|\d+", new) == re.findall(r"#\w+#|\d+", old)
        assert len(new.split()) == len(old.split())


def test_a_row_changes_as_a_whole_or_not_at_all() -> None:
    rows = [row("식당을 예약한다.", "인사한다."), row("인사한다."), ROWS[0]]
    *unchanged, changed = contaminate(rows, share=1, seed=0)
    assert unchanged == rows[:2]
    assert changed.summaries == ("餐厅을 預約한다.", "預約이 찼다.")


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.25, 5), (0.5, 10), (1, 20)])
def test_share_of_the_rows(share: float, expected: int) -> None:
    changed = contaminate(ROWS, share=share, seed=0)
    assert sum(new != old for new, old in zip(changed, ROWS, strict=True)) == expected


def test_a_greater_share_takes_the_rows_of_a_smaller_one_and_another_seed_others() -> None:
    fewer, more = (contaminate(ROWS, share=share, seed=0) for share in (0.25, 0.5))
    assert all(few == many for few, many, old in zip(fewer, more, ROWS, strict=True) if few != old)
    assert contaminate(ROWS, share=0.5, seed=0) != contaminate(ROWS, share=0.5, seed=1)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_shares_outside_of_zero_and_one_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"foreign_share is .* between 0 and 1"):
        contaminate(ROWS, share=share, seed=0)
