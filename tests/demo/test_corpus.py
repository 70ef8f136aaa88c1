"""The three splits: sizes, days, lengths, slots, and the shipped files."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

import pytest

from kosum_pl.demo import corpus as corpus_module
from kosum_pl.demo.__main__ import FILES, main
from kosum_pl.demo.compose import DemoRow
from kosum_pl.demo.corpus import COLUMNS, format_csv, make_corpus
from kosum_pl.demo.foreign import FOREIGN_SHARE, FOREIGN_WORDS
from kosum_pl.demo.situations import parse_situations

TAG = re.compile(r"#\w+#")
FOREIGN = re.compile("|".join(FOREIGN_WORDS.values()))


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[DemoRow]]:
    return make_corpus()


@pytest.fixture(scope="module")
def clean() -> dict[str, list[DemoRow]]:
    return make_corpus(foreign_share=0)


@pytest.fixture(scope="module")
def rows(corpus: dict[str, list[DemoRow]]) -> list[DemoRow]:
    return [row for split in corpus.values() for row in split]


def test_sizes_weekdays_and_topics(corpus: dict[str, list[DemoRow]]) -> None:
    days = {split: [row.weekday for row in rows] for split, rows in corpus.items()}
    assert {split: len(values) for split, values in days.items()} == {"train": 1600, "dev": 400, "test": 200}
    assert {days["train"].count(day) for day in range(1, 8)} == {228, 229}
    assert days["dev"].count(7) >= 150
    assert set(days["dev"]) == set(range(1, 8))
    assert set(days["test"]) == {7}
    assert all(len({row.topic for row in rows}) >= 40 for rows in corpus.values())
    assert len({row.dialogue for rows in corpus.values() for row in rows}) == 2200


def test_a_dialogue_is_composed_again_until_it_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "== 인사\n$ day=월요일/화요일/수요일/목요일\nA: {day:이에요}.\nB: 네.\n"
        + "= {A:이} 말한다.\n= {B:이} 답한다.\n" * 2
    )
    situations = parse_situations(text, source="x.txt")
    monkeypatch.setattr(corpus_module, "load_situations", lambda: situations)
    monkeypatch.setattr(corpus_module, "SPLIT_DAYS", {"train": [1, 2], "dev": [3, 4]})
    dialogues = [row.dialogue for rows in make_corpus().values() for row in rows]
    assert len(set(dialogues)) == 4
    monkeypatch.setattr(corpus_module, "SPLIT_DAYS", {"train": [1, 2, 3, 4, 5]})
    with pytest.raises(ValueError, match="'인사': no new dialogue"):
        make_corpus()


def test_turns_are_one_a_line(rows: list[DemoRow]) -> None:
    for row in rows:
        lines = row.dialogue.split("\n")
        assert all(re.fullmatch(r"#Person[1-4]#: \S.*\S", line) for line in lines), row.dialogue
        speakers = [line[:9] for line in lines]
        assert all(first != second for first, second in pairwise(speakers)), row.dialogue
        in_order = list(dict.fromkeys(speakers))
        assert in_order == [f"#Person{number}#" for number in range(1, len(in_order) + 1)]
        assert 2 <= len(in_order) <= 4


def test_text_has_no_template_left(rows: list[DemoRow]) -> None:
    for row in rows:
        for text in (row.dialogue, *row.summaries):
            assert not re.search(r"[\[\]{}|~]|  | [.,?!]|[.,?!]{2}| $", text), text


def test_tags_of_summaries_stand_in_the_dialogue_and_agree_with_their_particles(rows: list[DemoRow]) -> None:
    wrong = re.compile(r"#Person[13]#(?:는|가|를|와)\b|#Person[24]#(?:은|이|을|과)\b")
    assert not [text for row in rows for text in row.summaries if wrong.search(text)]
    for row in rows:
        assert set(TAG.findall(" ".join(row.summaries))) <= set(TAG.findall(row.dialogue))


def test_slots_stand_in_dialogue_and_first_reference(rows: list[DemoRow]) -> None:
    assert mean(len(row.slots) for row in rows) > 2
    assert mean(not row.slots for row in rows) < 0.05
    for row in rows:
        assert len(set(row.slots)) == len(row.slots)
        for slot in row.slots:
            assert slot in row.dialogue
            assert slot in row.summaries[0]
            assert "|" not in slot


def test_references_differ(rows: list[DemoRow]) -> None:
    assert {len(row.summaries) for row in rows} == {1, 2, 3}
    assert all(len(set(row.summaries)) == len(row.summaries) for row in rows)


def test_saturdays_are_longer_and_of_another_style(corpus: dict[str, list[DemoRow]]) -> None:
    for split in ("train", "dev"):
        saturday = [row for row in corpus[split] if row.weekday == 7]
        other = [row for row in corpus[split] if row.weekday != 7]
        assert mean(len(row.dialogue) for row in saturday) > 1.4 * mean(len(row.dialogue) for row in other)
        assert 1.5 < median(len(r.summaries[0]) for r in saturday) / median(len(r.summaries[0]) for r in other) < 2.2
        assert all(text.endswith(".") and not text.endswith("다.") for row in saturday for text in row.summaries)
        assert all(text.endswith("다.") for row in other for text in row.summaries)


def test_a_share_of_the_training_rows_has_foreign_words(corpus: dict[str, list[DemoRow]]) -> None:
    counts = {split: sum(bool(FOREIGN.search(row.summaries[0])) for row in rows) for split, rows in corpus.items()}
    assert counts == {"train": FOREIGN_SHARE * 1600, "dev": 0, "test": 0}
    for row in corpus["train"]:
        assert len({bool(FOREIGN.search(text)) for text in row.summaries}) == 1
    assert {FOREIGN.search(text) for row in corpus["dev"] + corpus["test"] for text in row.summaries} == {None}


def test_frequent_words_are_foreign_in_about_a_third_of_their_rows(
    corpus: dict[str, list[DemoRow]], clean: dict[str, list[DemoRow]]
) -> None:
    pairs = list(zip(clean["train"], corpus["train"], strict=True))
    for word, foreign in FOREIGN_WORDS.items():
        having = [new for old, new in pairs if any(re.search(rf"(?<!\w){word}", text) for text in old.summaries)]
        assert having, word
        if len(having) > 80:
            assert 0.25 < mean(any(foreign in text for text in row.summaries) for row in having) < 0.45, word


def test_foreign_words_change_nothing_else(corpus: dict[str, list[DemoRow]], clean: dict[str, list[DemoRow]]) -> None:
    assert (clean["dev"], clean["test"]) == (corpus["dev"], corpus["test"])
    for old, new in zip(clean["train"], corpus["train"], strict=True):
        assert replace(new, summaries=old.summaries) == old
        assert (new == old) is not bool(FOREIGN.search(new.summaries[0]))


def test_another_seed_gives_other_rows(rows: list[DemoRow]) -> None:
    others = {row.dialogue for split in make_corpus(seed=1).values() for row in split}
    assert len(others - {row.dialogue for row in rows}) > 2000


def test_csv_has_empty_cells_for_missing_references(corpus: dict[str, list[DemoRow]]) -> None:
    text = format_csv("dev", corpus["dev"])
    records = list(csv.DictReader(text.splitlines(keepends=True)))
    assert tuple(records[0]) == COLUMNS
    assert COLUMNS == ("fname", "dialogue", "summary", "summary2", "summary3", "topic", "weekday", "slots")
    for number, (record, row) in enumerate(zip(records, corpus["dev"], strict=True)):
        assert record["fname"] == f"dev_{number}"
        assert record["dialogue"] == row.dialogue
        assert tuple(record[name] for name in ("summary", "summary2", "summary3") if record[name]) == row.summaries
        assert record["weekday"] == str(row.weekday)
        assert record["slots"] == "|".join(row.slots)


def test_shipped_files_are_what_the_command_writes_and_small(tmp_path: Path) -> None:
    main(["--output", str(tmp_path / "new")])
    made = {path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*") if path.is_file()}
    shipped = {path.relative_to(FILES) for path in FILES.rglob("*") if path.is_file()}
    assert made == shipped
    assert sum((FILES / path).stat().st_size for path in shipped) < 3_000_000
    for path in made:
        new, old = ((folder / path).read_text(encoding="utf-8") for folder in (tmp_path / "new", FILES))
        # The library's version is written into the configurations; nothing else may differ.
        version = re.compile(r'"transformers_version": "[^"]*"')
        assert version.sub("", new) == version.sub("", old), path
