"""`SlotRecall`: does a summary carry the names, times and amounts over that it must?

In: predictions and each row's slots. Out: `slot_recall`, 0-1. A summary that reads well and says three o'clock in place
of one is not one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torchmetrics import Metric

from kosum_pl.metrics import sums


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
        raise ValueError("SlotRecall: a slot is empty, which every summary holds; leave it out")
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


class SlotRecall(Metric):
    """Share of all slots that stand in their row's prediction, over all rows together.

    Example:
        >>> metric = SlotRecall()
        >>> metric.update(["민수는 3시에 온다.", "비가 온다."], [["민수", "3시", "만 원"], []])
        >>> round(float(metric.compute()["slot_recall"]), 3)
        0.667
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    num_found: Tensor
    num_slots: Tensor
    num_rows: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("num_found", "num_slots", "num_rows"):
            self.add_state(name, default=sums.zeros(), dist_reduce_fx="sum")

    def update(self, predictions: Sequence[str], slots: Sequence[Sequence[str]]) -> None:
        """Add rows.

        Args:
            predictions: One text a row.
            slots: Texts that a right summary holds, perhaps none; a slot given twice counts once.

        Raises:
            ValueError: The lengths differ, slots are a bare text, or one is empty.
        """
        sums.check_lengths("SlotRecall", predictions=predictions, slots=slots)
        for row, wanted in enumerate(slots):
            if isinstance(wanted, str):
                raise ValueError(f"SlotRecall: slots of row {row} are a bare text; give a list of texts a row")
        found = [find_slots(text, wanted) for text, wanted in zip(predictions, slots, strict=True)]
        self.num_found = self.num_found + sum(map(len, found))
        self.num_slots = self.num_slots + sum(len(set(wanted)) for wanted in slots)
        self.num_rows = self.num_rows + len(predictions)

    def compute(self) -> dict[str, Tensor]:
        """`slot_recall`, 0-dim float64; nothing where no row has a slot, as there is nothing to measure.

        Raises:
            ValueError: No rows were added.
        """
        sums.check_rows("SlotRecall", self.num_rows)
        num_slots = int(self.num_slots)
        return {"slot_recall": torch.tensor(int(self.num_found) / num_slots, dtype=torch.float64)} if num_slots else {}
