"""What the ranks of a run tell each other: plain values, gathered in the order of ranks.

In: one rank's value. Out: all ranks' values. Without a process group there is one rank.
"""

from __future__ import annotations

from typing import TypeVar

import torch.distributed

_Value = TypeVar("_Value")


def rank_of() -> tuple[int, int]:
    """This process's rank, and how many there are."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def gather(part: _Value) -> list[_Value]:
    """Every rank's part; every rank must ask."""
    parts = [part] * rank_of()[1]
    if len(parts) > 1:
        torch.distributed.all_gather_object(parts, part)
    return parts
