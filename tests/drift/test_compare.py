"""Words come when a split differs for real, and only then."""

from __future__ import annotations

import json
import random
import statistics

import pytest

from kosum_pl.drift.compare import Drift, compare
from kosum_pl.drift.features import Feature
from kosum_pl.types import Dialogue

QUIET = "no drift worth a word between train and test"


def rows(number: int, *, seed: int, weekdays: str = "1234567", length: int = 40, **fixed: str) -> list[Dialogue]:
    generator = random.Random(seed)
    made = []
    for index in range(number):
        words = [
            "".join(generator.choices("가나다라마바사아", k=2)) for _ in range(generator.randint(length // 2, length))
        ]
        half = len(words) // 2
        text = f"#Person1#: {' '.join(words[:half])}\n#Person2#: {' '.join(words[half:])}"
        profile = {"weekday": generator.choice(weekdays), **fixed}
        made.append(Dialogue(example_id=str(index), text=text, references=(words[0],), profile=profile))
    return made


def feature(drift: Drift, name: str) -> Feature:
    return next(feature for feature in drift.features if feature.name == name)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("num_rows", [15, 200])
def test_samples_of_one_distribution_are_worth_no_word(seed: int, num_rows: int) -> None:
    drift = compare(rows(700, seed=100 + seed), other=rows(num_rows, seed=200 + seed))
    assert drift.words() == [QUIET]


def test_a_split_of_one_weekday_and_longer_dialogues() -> None:
    train, test = rows(700, seed=0), rows(100, seed=1, weekdays="7", length=60)
    drift = compare(train, other=test)
    share = sum(row.profile["weekday"] == "7" for row in train) / 700
    medians = [statistics.median(len(row.text) for row in split) for split in (test, train)]
    assert drift.words()[:2] == [
        f"test holds only weekday 7; {100 * share:.0f} % of train does",
        f"dialogues of test are {medians[0] / medians[1]:.1f} times as long "
        f"(median {medians[0]:.0f} characters against {medians[1]:.0f})",
    ]
    assert feature(drift, "weekday").other == (0, 0, 0, 0, 0, 0, 100)
    assert not feature(drift, "turns").is_real
    assert feature(drift, "speakers").bins == ("all",)


def test_a_weekday_that_is_more_frequent_and_one_that_is_new() -> None:
    train = rows(700, seed=0, weekdays="123456")
    more = compare(train, other=rows(200, seed=1, weekdays="1234566666")).words()
    assert more[0].startswith("weekday 6: ")
    new = compare(train, other=rows(200, seed=2, weekdays="12345677")).words()
    assert len(new) == 1
    assert new[0].endswith("% of test has a weekday that train never has (7)")
    share = sum(row.profile["weekday"] == "7" for row in rows(200, seed=2, weekdays="12345677")) / 200
    assert new[0].startswith(f"{100 * share:.0f} %")


def test_ids_and_absent_columns_are_named_and_skipped() -> None:
    train = [
        Dialogue(example_id=str(n), text="네, 좋아요", profile={"topic": f"주제 {n}", "room": "a"}) for n in range(100)
    ]
    other = [Dialogue(example_id=str(n), text="네, 좋아요", profile={"topic": f"주제 {n}"}) for n in range(50)]
    drift = compare(train, other=other, name="predict")
    assert [note.split(":")[0] for note in drift.notes] == ["topic", "room"]
    assert "100 values in 100 rows" in drift.notes[0]
    assert "data.topics" in drift.notes[0]
    assert "only train has this column" in drift.notes[1]
    assert [wording.name for wording in drift.wordings] == ["dialogues"]
    assert drift.words() == ["no drift worth a word between train and predict"]


def test_prompt_tokens_speak_only_where_characters_do_not() -> None:
    train, test = rows(300, seed=0), rows(100, seed=1)
    tokens = [len(row.text) for row in train], [2 * len(row.text) for row in test]
    ratio = statistics.median(tokens[1]) / statistics.median(tokens[0])
    words = compare(train, other=test, prompt_tokens=tokens).words()
    assert len(words) == 1
    assert words[0].startswith(f"prompts of test are {ratio:.1f} times as long")
    longer = rows(100, seed=1, length=80)
    words = compare(train, other=longer, prompt_tokens=(tokens[0], [len(row.text) for row in longer])).words()
    assert not [line for line in words if line.startswith("prompts")]


def test_new_values_in_many_values_that_are_rare_are_chance() -> None:
    generator = random.Random(0)
    values = [f"주제{int(generator.paretovariate(0.7))}" for _ in range(900)]
    made = [Dialogue(example_id=str(n), text="네", profile={"topic": value}) for n, value in enumerate(values)]
    drift = compare(made[:700], other=made[700:])
    assert drift.words() == [QUIET]
    assert feature(drift, "topic").bins[-1] == "(others)"
    assert sum(feature(drift, "topic").train) == 700


def test_all_values_are_json_and_seeded() -> None:
    train, test = rows(100, seed=0), rows(50, seed=1, weekdays="7")
    values = compare(train, other=test).values()
    assert json.loads(json.dumps(values))["words"] == values["words"]
    assert values == compare(train, other=test).values()


@pytest.mark.parametrize(("num_train", "num_other", "named"), [(0, 3, "train"), (3, 0, "test")])
def test_an_empty_split_is_an_error(num_train: int, num_other: int, named: str) -> None:
    with pytest.raises(ValueError, match=f"{named} has no rows"):
        compare(rows(num_train, seed=0), other=rows(num_other, seed=0))
