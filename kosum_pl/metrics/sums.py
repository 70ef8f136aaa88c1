"""Sums that do not depend on the order of their terms.

In: floats. Out: whole numbers of 2**-40, to be kept in an int64 state. Integers add up to the same bits on one rank and
on eight; they stay what they are when a module is cast to bfloat16, which would round a float state to three digits;
and devices without float64 have them. A state holds 8 million rows that score 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_UNITS: Final = 2**40


def zeros(*shape: int) -> Tensor:
    """An empty state of this shape, int64."""
    return torch.zeros(shape, dtype=torch.int64)


def to_units(value: float) -> int:
    """Nearest whole number of 2**-40.

    Example:
        >>> to_units(0.5) == 2**39
        True
    """
    return round(value * _UNITS)


def from_units(total: Tensor) -> Tensor:
    """A state's value, float64 on the CPU: scores are for people and files, and not every device has float64.

    Example:
        >>> from_units(torch.tensor(2**39))
        tensor(0.5000, dtype=torch.float64)
    """
    return total.cpu().double() / _UNITS


def check_rows(name: str, num_rows: Tensor) -> int:
    """Number of rows that a metric has seen.

    Raises:
        ValueError: None; empty input is an error, never a score.
    """
    rows = int(num_rows)
    if not rows:
        raise ValueError(
            f"{name} has seen no row; give it predictions before compute(), or look why the split is empty"
        )
    return rows


def check_lengths(name: str, **columns: object) -> None:
    """Check that all columns of a batch are lists of one length.

    Raises:
        ValueError: They are not, with each one's length; or one is a bare text.
    """
    lengths = {}
    for column, values in columns.items():
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise ValueError(f"{name}: {column} is {type(values).__name__}; give a list with one entry a row")
        lengths[column] = len(values)
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count} {column}" for column, count in lengths.items())
        raise ValueError(f"{name} got {counts}; give one of each a row")


def check_references(name: str, references: Sequence[Sequence[str]]) -> None:
    """Check that every row has a reference, and that references are lists of texts.

    Raises:
        ValueError: A row has none, or a bare text in place of a list.
    """
    for row, texts in enumerate(references):
        if isinstance(texts, str):
            raise ValueError(f"{name}: references of row {row} are a bare text; give a list of texts a row")
        if not any(text.strip() for text in texts):
            raise ValueError(f"{name}: row {row} has no reference; leave it out, as nothing can be measured on it")
