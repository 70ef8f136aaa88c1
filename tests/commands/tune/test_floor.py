"""The least share of references that a proposed preset leaves sayable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kosum_pl.commands.tune.floor import ReachFloor
from kosum_pl.decode import DecodingPreset, RowLength
from kosum_pl.decode.reachability.references import References
from kosum_pl.errors import UsageError
from kosum_pl.types import Dialogue
from tests.modules_fixtures import LIMITS, small_module

DEFAULT = DecodingPreset(name="default", max_new_tokens=100, no_repeat_ngram_size=3)
TEXTS = ["간다.", "#Person1#은 부산에 간다.", "#Person2#는 서울에 온다.", "가고 또 간다 가고 또 간다 가고"]


@pytest.fixture(scope="module")
def floor() -> ReachFloor:
    encoder = small_module("seq2seq").encoder
    rows = [
        Dialogue(example_id=str(row), text="#Person1#: 부산에 가요.", references=(text,))
        for row, text in enumerate(TEXTS)
    ]
    return ReachFloor(References(rows, encoder=encoder, constraint=None, limits=LIMITS), default=DEFAULT)


def test_a_preset_may_forbid_as_much_as_the_default_and_no_more(floor: ReachFloor) -> None:
    # The default forbids the repeated phrase.
    assert floor.allows(DEFAULT)
    assert floor.allows(replace(DEFAULT, no_repeat_ngram_size=0, num_beams=4))
    assert not floor.allows(replace(DEFAULT, min_new_tokens=8))  # the first row is shorter
    assert not floor.allows(replace(DEFAULT, max_new_tokens=4))
    assert not floor.allows(replace(DEFAULT, max_new_tokens=RowLength(per_source_token=0.01, min=2, max=90)))
    assert not floor.allows(replace(DEFAULT, bad_words=("#Person1#",)))


def test_its_words_show_both_numbers(floor: ReachFloor) -> None:
    assert (
        floor.words(replace(DEFAULT, name="mine", bad_words=("#Person1#",)))
        == "50.0 % of 4 references can be said (75.0 % with default)"
    )


def test_bad_words_that_no_search_takes_back_are_refused_at_once(floor: ReachFloor) -> None:
    floor.check_base(replace(DEFAULT, name="mine", bad_words=("대구",), max_new_tokens=1))
    with pytest.raises(UsageError, match=r"^no preset can be proposed: with the bad_words of 'mine', 50\.0 % of 4 "):
        floor.check_base(replace(DEFAULT, name="mine", bad_words=("#Person1#", "#Person2#")))
