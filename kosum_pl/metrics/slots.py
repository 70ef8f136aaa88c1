"""`SlotRecall`: does a summary carry the names, times and amounts over that it must?

In: predictions and each row's slots. Out: `slot_recall`, 0-1. A summary that reads well and says three o'clock in place
of one is not one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from kosum_pl.metrics.row_metric import Pair
from kosum_pl.types import Prediction


def find_slots(prediction: str, slots: Sequence[str]) -> list[str]:
    """The different slots that stand in a prediction as they are, in their own order.

    A number must not be the part of a longer one, nor a Latin word of a longer one: `3시` is not in `13시`, `500원` not
    in `1,500원`. Hangul may go on, as particles do.

    Raises:
        ValueError: An empty slot, which every text would hold.

    Example:
        >>> find_slots("민수는 13시에 Tommy와 만난다.", ["민수", "3시", "13시", "Tom"])
        ['민수', '13시']
    """
    return [slot for slot in dict.fromkeys(slots) if _slot_pattern(slot).search(prediction)]


@lru_cache(maxsize=8192)
def _slot_pattern(slot: str) -> re.Pattern[str]:
    if not slot.strip():
        raise ValueError("a slot is empty, which every summary holds; leave it out")
    before = after = ""
    if slot[0].isdecimal():
        before = r"(?<!\d)(?<!\d[.,])"
    elif slot[0].isascii() and slot[0].isalpha():
        before = r"(?<![A-Za-z])"
    if slot[-1].isdecimal():
        after = r"(?!\d)(?![.,]\d)"
    elif slot[-1].isascii() and slot[-1].isalpha():
        after = r"(?![A-Za-z])"
    return re.compile(before + re.escape(slot) + after)


class SlotRecall:
    """Share of all rows' slots that stand in their prediction, as a `RowMetric`; a slot given twice counts once."""

    names = ("slot_recall",)

    def row_values(self, prediction: Prediction) -> list[Pair]:
        """Slots found of all slots of a row with references."""
        if not prediction.references:
            return []
        return [(len(find_slots(prediction.text, prediction.slots)), len(set(prediction.slots)))]
