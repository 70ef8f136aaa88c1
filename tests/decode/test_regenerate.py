"""`Regenerator`: which rows are tried again, which attempt is kept, and what the row says of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS
from kosum_pl.decode.preset import DecodingPreset
from kosum_pl.decode.regenerate import REGENERATION_CHECKS, Regenerator
from kosum_pl.types import Prediction

RULES: dict[str, Any] = {"charset": Charset(), "literals": DEFAULT_LITERALS}
GOOD = "#Person1#은 KTX를 타고 부산에 간다."
DIRTY = "#Person1#은 會議에서 #Person2#를 만난다."
ENGLISH = "The meeting was moved to Friday because of the weather."


def prediction(text: str = GOOD, **changes: Any) -> Prediction:
    fields: dict[str, Any] = {
        "example_id": "dev_0",
        "raw_text": text,
        "dialogue": "#Person1#: KTX 타요.\n#Person2#: #Order1# 확인.",
        "references": (),
        "profile": {},
        "log_prob": -10.0,
        "num_tokens": 10,
        "reached_eos": True,
        "attempts": 1,
        "preset": "first",
    }
    return Prediction(text=text, **{**fields, **changes})


class Script:
    """A generator that says what was written down for it, and remembers what it was asked."""

    def __init__(self, *rounds: dict[int, Prediction]) -> None:
        self.rounds = list(rounds)
        self.calls: list[tuple[list[int], str, int]] = []

    def __call__(self, rows: Sequence[int], preset: DecodingPreset, attempt: int) -> list[Prediction]:
        self.calls.append((list(rows), preset.name, attempt))
        said = self.rounds.pop(0)
        return [said[row] for row in rows]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (prediction(), ()),
        (prediction("#Order1#을 확인한다."), ()),
        (prediction(reached_eos=False), ("no_eos",)),
        (prediction(DIRTY), ("contamination",)),
        (prediction("#Person1#은 bus를 탄다."), ("contamination",)),
        (prediction(""), ("empty",)),
        (prediction(" .\n", reached_eos=False), ("empty", "no_eos")),
        (prediction(ENGLISH), ("contamination", "language")),
        (prediction("今天我们去开会。", reached_eos=False), ("contamination", "language", "no_eos")),
        (prediction("#Person1# KTX"), ()),  # no letter to tell a language by
        (prediction(GOOD, raw_text=DIRTY), ("contamination",)),  # a filter has hidden it
    ],
)
def test_failures_by_hand(made: Prediction, expected: tuple[str, ...]) -> None:
    assert Regenerator().failures(made, **RULES) == expected


def test_language_is_asked_where_the_charset_allows_latin() -> None:
    wide = {"charset": Charset(name="korean+latin"), "literals": DEFAULT_LITERALS}
    assert Regenerator().failures(prediction(ENGLISH), **wide) == ("language",)
    assert Regenerator(min_korean_probability=0.0).failures(prediction(ENGLISH), **wide) == ()


def test_the_chosen_checks_are_asked_worst_first() -> None:
    worst = prediction("今天我们去开会。", reached_eos=False)
    assert Regenerator(checks=["no_eos", "contamination"]).failures(worst, **RULES) == ("contamination", "no_eos")
    assert Regenerator(checks=["empty"]).failures(worst, **RULES) == ()
    for order in itertools.permutations(REGENERATION_CHECKS):
        assert Regenerator(checks=order).checks == ("empty", "contamination", "language", "no_eos")


def test_rows_that_pass_are_not_touched() -> None:
    first = [prediction(), prediction(attempts=3)]
    script = Script()
    kept = Regenerator().regenerate(first, script, **RULES)
    assert kept[0] is first[0]
    assert kept[1] is first[1]
    assert script.calls == []


def test_failing_rows_get_the_next_presets_until_they_pass() -> None:
    first = [prediction(), prediction(DIRTY), prediction(""), prediction(reached_eos=False, example_id="d")]
    script = Script(
        {1: prediction("둘째 줄은 괜찮다."), 2: prediction(""), 3: prediction(DIRTY)},
        {2: prediction("셋째 줄은 괜찮다."), 3: prediction(ENGLISH)},
        {3: prediction("", num_tokens=0)},
    )
    regenerator = Regenerator(max_attempts=3, presets=["fast", "saturday"])
    kept = regenerator.regenerate(first, script, **RULES)
    assert script.calls == [([1, 2, 3], "fast", 1), ([2, 3], "saturday", 2), ([3], "saturday", 3)]
    assert [made.text for made in kept] == [GOOD, "둘째 줄은 괜찮다.", "셋째 줄은 괜찮다.", GOOD]
    assert [made.attempts for made in kept] == [1, 2, 3, 4]
    assert [made.preset for made in kept] == ["first", "fast", "saturday", "first"]
    assert kept[3].example_id == "d"


def test_the_number_of_attempts_is_limited() -> None:
    script = Script({0: prediction("")}, {0: prediction("")})
    kept = Regenerator(max_attempts=2).regenerate([prediction("")], script, **RULES)
    assert (len(script.calls), kept[0].attempts, kept[0].preset) == (2, 3, "first")


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (prediction(""), prediction(ENGLISH, reached_eos=False)),  # saying nothing is worst, whatever else fails
        (prediction(DIRTY, reached_eos=False), prediction(DIRTY)),
        (prediction(ENGLISH), prediction(DIRTY)),
        (prediction(DIRTY), prediction("똠뷁쀍쉛쩗")),
        (prediction("똠뷁쀍쉛쩗"), prediction(reached_eos=False)),
        (prediction(DIRTY, log_prob=-20.0), prediction(DIRTY, log_prob=-19.0)),
        (prediction(DIRTY, log_prob=-12.0, num_tokens=10), prediction(DIRTY, log_prob=-20.0, num_tokens=20)),
        (prediction(DIRTY, num_tokens=0, log_prob=0.0), prediction(DIRTY, log_prob=-99.0)),
        (prediction(DIRTY, log_prob=float("nan")), prediction(DIRTY, log_prob=-99.0)),
    ],
)
def test_the_better_attempt_is_kept_whichever_came_first(worse: Prediction, better: Prediction) -> None:
    regenerator = Regenerator(max_attempts=1, presets=["fast"])
    first = regenerator.regenerate([better], Script({0: worse}), **RULES)[0]
    second = regenerator.regenerate([worse], Script({0: better}), **RULES)[0]
    assert (first.text, first.log_prob, first.preset) == (better.text, better.log_prob, "first")
    assert (second.text, second.log_prob, second.preset) == (better.text, better.log_prob, "fast")
    assert first.attempts == second.attempts == 2


def test_of_equals_the_earlier_is_kept() -> None:
    kept = Regenerator(max_attempts=1).regenerate([prediction("一")], Script({0: prediction("二")}), **RULES)
    assert kept[0].text == "一"


def test_another_number_of_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        Regenerator().regenerate([prediction("")], lambda rows, preset, attempt: [], **RULES)


ATTEMPTS = st.builds(
    prediction,
    st.sampled_from([GOOD, DIRTY, ENGLISH, "", "똠뷁쀍쉛쩗"]),
    reached_eos=st.booleans(),
    log_prob=st.integers(-30, 0).map(float),
)


@settings(max_examples=100, deadline=None)
@given(table=st.lists(st.lists(ATTEMPTS, min_size=3, max_size=3), max_size=4))
def test_no_attempt_is_better_than_the_kept_one(table: list[list[Prediction]]) -> None:
    regenerator = Regenerator(max_attempts=2)
    script = Script(*({row: tries[round_] for row, tries in enumerate(table)} for round_ in (1, 2)))
    kept = regenerator.regenerate([tries[0] for tries in table], script, **RULES)
    for made, tries in zip(kept, table, strict=True):
        failures = [regenerator.failures(attempt, **RULES) for attempt in tries]
        # The row is tried until its first attempt without a failure.
        passed = [place for place, failed in enumerate(failures) if not failed]
        assert made.attempts == (passed[0] + 1 if passed else 3)
        assert made.text in {attempt.text for attempt in tries[: made.attempts]}
        mine = regenerator.failures(made, **RULES)
        if passed:
            assert mine == ()
        elif not all("empty" in failed for failed in failures):
            assert len(mine) == min(len(failed) for failed in failures if "empty" not in failed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_attempts": 0}, r"model\.regenerator\.max_attempts is 0; write a whole number from 1 on"),
        ({"max_attempts": True}, r"model\.regenerator\.max_attempts is True"),
        ({"max_attempts": 1.5}, r"model\.regenerator\.max_attempts is 1\.5"),
        ({"min_korean_probability": 50}, r"model\.regenerator\.min_korean_probability is 50; write a number from 0"),
        ({"min_korean_probability": float("nan")}, r"model\.regenerator\.min_korean_probability is nan"),
        ({"presets": []}, r"model\.regenerator\.presets is \[\]; write a list"),
        ({"presets": "fast"}, r"model\.regenerator\.presets is 'fast'; write a list"),
        ({"presets": ["fats"]}, r"model\.regenerator\.presets: preset 'fats' is not a file .* known: .*fast"),
        ({"checks": []}, r"model\.regenerator\.checks is \[\]"),
        ({"checks": "empty"}, r"model\.regenerator\.checks is 'empty'"),
        ({"checks": ["empty", "eos"]}, r"model\.regenerator\.checks: unknown check 'eos'; known: empty, contamination"),
    ],
)
def test_wrong_arguments_are_answered_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Regenerator(**arguments)
    assert "\n" not in str(caught.value)


def test_presets_may_be_files(tmp_path: Path) -> None:
    path = tmp_path / "warm.yaml"
    path.write_text("do_sample: true\ntemperature: 0.7\nseed: 3\n", encoding="utf-8")
    presets = Regenerator(presets=["fast", str(path)]).presets
    assert [(preset.name, preset.do_sample) for preset in presets] == [("fast", False), ("warm", True)]


def test_arguments_come_from_yaml() -> None:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Regenerator, "regenerator")
    config = parser.parse_string("regenerator: {max_attempts: 3, presets: [fast, default], checks: [empty]}")
    made = parser.instantiate_classes(config).regenerator
    assert (made.max_attempts, [preset.name for preset in made.presets]) == (3, ["fast", "default"])
