"""The demo's three splits as CSV files.

In: the situations and a seed. Out: `train.csv` (all days), `dev.csv` (many Saturdays) and `test.csv` (Saturdays
only), in the contest's format with further references, profile columns and slots. No dialogue stands twice. Only
training rows have foreign words in their references.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final

from kosum_pl.demo.compose import MAX_REFERENCES, SATURDAY, DemoRow, compose
from kosum_pl.demo.foreign import FOREIGN_SHARE, contaminate
from kosum_pl.demo.situations import Situation, load_situations

SEED: Final = 20240217
SPLIT_DAYS: Final[dict[str, list[int]]] = {
    "train": [number % 7 + 1 for number in range(1600)],
    "dev": [SATURDAY] * 160 + [number % 6 + 1 for number in range(240)],
    "test": [SATURDAY] * 200,
}
"""Weekday of every row of a split, before shuffling."""
_MAX_TRIES: Final = 1000

SUMMARY_COLUMNS: Final = ("summary", *(f"summary{number}" for number in range(2, MAX_REFERENCES + 1)))
COLUMNS: Final = ("fname", "dialogue", *SUMMARY_COLUMNS, "topic", "weekday", "slots")


def _compose_unseen(situation: Situation, weekday: int, rng: Random, seen: set[str]) -> DemoRow:
    """A dialogue that does not stand in `seen` yet; it is added there."""
    for _ in range(_MAX_TRIES):
        row = compose(situation, weekday=weekday, rng=rng)
        if row.dialogue not in seen:
            seen.add(row.dialogue)
            return row
    raise ValueError(f"situation '{situation.topic}': no new dialogue in {_MAX_TRIES} tries; give it more choices")


def _compose_split(situations: Sequence[Situation], days: Iterable[int], rng: Random, seen: set[str]) -> list[DemoRow]:
    """Rows of one split, every situation equally often on Saturdays and on other days."""
    turns = {is_saturday: cycle(situations) for is_saturday in (False, True)}
    rows = [_compose_unseen(next(turns[weekday == SATURDAY]), weekday, rng, seen) for weekday in days]
    rng.shuffle(rows)
    return rows


def make_corpus(seed: int = SEED, *, foreign_share: float = FOREIGN_SHARE) -> dict[str, list[DemoRow]]:
    """Rows of the splits `train`, `dev` and `test`.

    Args:
        seed: The same seed gives the same rows on every machine.
        foreign_share: Part of the training rows whose references have foreign words; 0 for none. It changes nothing
            else: what is said instead of the words, and dev and test as a whole, are the same for any share.

    Raises:
        ValueError: The share is not between 0 and 1.
    """
    situations = load_situations()
    seen: set[str] = set()
    corpus = {
        split: _compose_split(situations, days, Random(f"{seed}-{split}"), seen) for split, days in SPLIT_DAYS.items()
    }
    return {**corpus, "train": contaminate(corpus["train"], share=foreign_share, seed=seed)}


def format_csv(split: str, rows: Sequence[DemoRow]) -> str:
    """A split as CSV text; its name begins the rows' ids, and a reference that a row lacks is an empty cell."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number, row in enumerate(rows):
        summaries = [*row.summaries, *[""] * (MAX_REFERENCES - len(row.summaries))]
        writer.writerow([f"{split}_{number}", row.dialogue, *summaries, row.topic, row.weekday, "|".join(row.slots)])
    return buffer.getvalue()


def write_corpus(folder: Path, corpus: dict[str, list[DemoRow]]) -> None:
    """Write `train.csv`, `dev.csv` and `test.csv` into a folder that exists."""
    for split, rows in corpus.items():
        (folder / f"{split}.csv").write_text(format_csv(split, rows), encoding="utf-8", newline="\n")
