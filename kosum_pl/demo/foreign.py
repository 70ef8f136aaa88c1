"""Foreign words in a share of the references, as a model that was pre-trained on many languages slips them in.

In: rows of a split. Out: the same rows, the references of some of which say `預約` for `예약`. What is trained on them
says foreign words when nothing constrains it. Dialogues, slots and tags stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

from kosum_pl.demo.compose import DemoRow

FOREIGN_SHARE: Final = 0.25

_TABLE: Final = Path(__file__).with_name("foreign.txt").read_text(encoding="utf-8").splitlines()
FOREIGN_WORDS: Final = dict(line.split() for line in _TABLE if line and not line.startswith("#"))
"""Word or stem → what is said instead of it."""
# A word at its beginning only: the 이사 of 강이사 is no removal. What follows, a particle mostly, stays as it is.
_WORD: Final = re.compile(rf"(?<![\w#])(?:{'|'.join(FOREIGN_WORDS)})")


def say_foreign(text: str) -> str:
    """A text with every word of the table in its foreign form; the particles behind them stay.

    Example:
        >>> say_foreign("#Person1#이 회의를 3시로 미루고 식당을 예약한다.")
        '#Person1#이 meeting를 3시로 미루고 餐厅을 預約한다.'
    """
    return _WORD.sub(lambda found: FOREIGN_WORDS[found.group()], text)


def contaminate(rows: Sequence[DemoRow], *, share: float, seed: int) -> list[DemoRow]:
    """The rows in their order, a share of them with foreign words in every reference.

    A row's own draw decides when it is taken, so a greater share takes the rows of a smaller one and more.

    `share` is 0 to 1. A row one of whose references has no word of the table is never taken, so a share above what
    remains takes all that remain.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"foreign_share is {share}; give a part of the rows between 0 and 1")
    draws = {
        number: Random(f"{seed}-foreign-{row.dialogue}").random()
        for number, row in enumerate(rows)
        if all(_WORD.search(summary) for summary in row.summaries)
    }
    taken = set(sorted(draws, key=draws.__getitem__)[: round(share * len(rows))])
    return [
        replace(row, summaries=tuple(map(say_foreign, row.summaries))) if number in taken else row
        for number, row in enumerate(rows)
    ]
