"""Predictions to score."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kosum_pl.metrics import ScoreSettings, ScoreTable
from kosum_pl.types import Prediction

WORDS = ["#Person1#은", "#Person2#가", "민수는", "KTX를", "豫約을", "3시에", "Ωμ", "타고", "간다.", "옷�", "ー", ""]


def prediction(text: str, references: Sequence[str] = (), **changes: Any) -> Prediction:
    """A row of which nothing but the text is known."""
    row = Prediction(
        example_id="row",
        text=text,
        raw_text=text,
        dialogue="",
        references=tuple(references),
        profile={},
        log_prob=-1.0,
        num_tokens=5,
        reached_eos=True,
        attempts=1,
        preset="fast",
    )
    return replace(row, **changes)


def random_row(row: int) -> Prediction:
    """A row of random words; every tenth names both speakers, and some of them in the other order."""
    draw = random.Random(row)
    text, raw, first, second = (" ".join(draw.choices(WORDS, k=draw.randint(1, 9))) for _ in range(4))
    swapped = "#Person2#가 #Person1#은" if row % 20 else "#Person1#은 #Person2#가"
    return prediction(
        text if row % 10 else swapped,
        (f"{first} 간다.", f"{second} 온다.")[: draw.randint(0, 2)] if row % 10 else ("#Person1#은 #Person2#가",),
        example_id=f"row_{row}",
        raw_text=raw,
        dialogue="#Person1#: KTX 예약이요." + "네" * row,
        profile={"weekday": str(row % 3), "id": str(row)},
        reached_eos=draw.random() < 0.7,
        slots=("민수", "3시")[: draw.randint(0, 2)],
    )


def scored(rows: Sequence[Prediction], *names: str, **settings: Any) -> dict[str, float]:
    """Scores of these names and of their parts; all scores where none is named."""
    scores = ScoreTable.of(rows, ScoreSettings(**{"rouge_tokenizer": "char", **settings})).scores()
    return {name: value for name, value in scores.items() if not names or name.split("/")[0] in names}
