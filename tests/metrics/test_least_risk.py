"""Which candidate is taken, against the naive double loop over `Rouge`."""

from __future__ import annotations

import pytest

from kosum_pl.metrics.least_risk import expectations, least_risk
from kosum_pl.metrics.rouge import score_rows
from kosum_pl.metrics.tokenize import get_tokenizer
from tests.metrics.rows import prediction

WEIGHTS = {"rouge1": 1.0, "rouge2": 3.0, "rougeL": 2.0}
ROWS = [
    ["#Person1#은 내일 역에서 지민을 만난다.", "#Person1#은 내일 만난다.", "지민은 밥을 먹는다.", ""],
    ["비가 온다.", "비가 온다.", "눈이 온다."],
]


@pytest.mark.parametrize("name", ["space", "char"])
def test_the_highest_expectation_is_taken(name: str) -> None:
    tokenizer = get_tokenizer(name)
    rows = [[prediction(text) for text in row] for row in ROWS]
    found = expectations(rows, tokenizer=tokenizer, weights=WEIGHTS)
    for row, values in zip(ROWS, found, strict=True):
        for place, value in enumerate(values):
            others = [text for at, text in enumerate(row) if at != place]
            scores = [
                score_rows([row[place]], [[text]], tokenizer=tokenizer)[0] if text else [0.0, 0.0, 0.0]
                for text in others
            ]
            wanted = sum(100 * (one + 3 * two + 2 * longest) for one, two, longest in scores) / len(others)
            assert value == pytest.approx(wanted)
    chosen = least_risk(rows, tokenizer=tokenizer, weights=WEIGHTS)
    assert chosen[0] is rows[0][max(range(4), key=found[0].__getitem__)]
    assert chosen[1] is rows[1][0]
