from __future__ import annotations

from collections import Counter

import pytest

from kosum_pl.decode import ConstraintSettings
from kosum_pl.metrics.reference_scan import ReferenceScan, Writing, by_frequency, examine
from kosum_pl.types import Dialogue

SETTINGS = ConstraintSettings()


@pytest.mark.parametrize(
    ("text", "dialogue", "outside", "outside_words", "row_words"),
    [
        ("비가 온다.", "KTX", "", {}, {}),
        ("#Person1#은 온다.", "", "", {}, {}),
        ("KTX와 KTX", "KTX!", "", {}, {"KTX": 2}),
        ("KTXX", "KTX!", "KTXX", {"KTXX": 1}, {}),
        ("Wi-Fi와 Wi", "Wi-Fi, Wi", "", {}, {"Wi-Fi": 1, "Wi": 1}),
        ("5km 간다", "5km", "", {}, {"5km": 1}),
        ("5km 간다", "5 km", "km", {"5km": 1}, {}),
        ("U.SX", "U, U.S", "SX", {}, {"U": 1}),
        ("a,b", "", "ab", {"a": 1, "b": 1}, {}),
        ("#Person9#은 온다", "", "Person", {"#Person9#": 1}, {}),
        ("#Person9#은 온다", "#Person9#: 응", "", {}, {"#Person9#": 1}),
        ("깨짐\ufffd과 \t", "\ufffd", "\ufffd\t", {}, {}),
    ],
)
def test_examine(
    text: str, dialogue: str, outside: str, outside_words: dict[str, int], row_words: dict[str, int]
) -> None:
    finding = examine(text, dialogue=dialogue, settings=SETTINGS)
    assert "".join(text[place] for place in finding.outside) == outside
    assert finding.outside_words == Counter(outside_words)
    assert finding.row_words == Counter(row_words)
    assert bool(finding.allowed_words) is bool(row_words)


def test_without_row_literals_a_dialogue_licenses_nothing() -> None:
    finding = examine("KTX", dialogue="KTX", settings=ConstraintSettings(row_literals=False))
    assert (finding.outside, finding.outside_words, finding.allowed_words) == ((0, 1, 2), Counter({"KTX": 1}), ())


def test_rows_and_references_are_counted_apart() -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def write(text: str, row_words: object) -> Writing:
        asked.append((text, tuple(row_words)))  # type: ignore[arg-type]
        return Writing(is_accepted="뷁" not in text, is_rewritten="…" in text)

    scan = ReferenceScan(SETTINGS, write=write)
    scan.add(Dialogue(example_id="a", text="KTX", references=("漢字 漢", "KTX…")), split="train")
    scan.add(Dialogue(example_id="b", text="", references=("字", "뷁")), split="train")
    scan.add(
        Dialogue(example_id="c", text="", references=("가나다라마바사아자차카타파하漢가나다라마바사아자차카타파하",)),
        split="val",
    )
    assert asked == [("KTX…", ("KTX",)), ("뷁", ())]
    assert scan.num_rows == Counter(train=2, val=1)
    assert {name: (tally.occurrences, tally.rows) for name, tally in scan.characters.items()} == {
        "漢": (Counter(train=2, val=1), Counter(train=1, val=1)),
        "字": (Counter(train=2), Counter(train=2)),
    }
    assert scan.scripts["Han"].rows == Counter(train=2, val=1)
    assert scan.outside_words["漢字"].example_id == "a"
    assert [name for name, _ in by_frequency(scan.characters)] == ["漢", "字"]
    first, second, third = (scan.totals[key] for key in (("train", 0), ("train", 1), ("val", 0)))
    assert (first.num_references, first.num_outside, first.num_outside_characters, first.num_characters) == (2, 2, 4, 5)
    assert (second.num_inside, second.num_accepted, second.num_rewritten, second.num_with_row_words) == (2, 1, 1, 1)
    assert second.lost == ["b"]
    assert third.num_inside == 0


def test_an_example_shows_a_dozen_characters_around() -> None:
    scan = ReferenceScan(SETTINGS, write=lambda _text, _words: Writing(is_accepted=True))
    scan.add(
        Dialogue(example_id="a", text="", references=("가나다라마바사아자차카타파하漢하파타카차자아사바마라다나가",)),
        split="train",
    )
    tally = scan.characters["漢"]
    assert (tally.before, tally.after) == ("다라마바사아자차카타파하", "하파타카차자아사바마라다")
