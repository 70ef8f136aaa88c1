"""Which rows form a slice: all rows of one value of a profile column.

In: rows' profiles. Out: `weekday=7` to row numbers. A mean over a split hides that its Saturdays are bad; a test
split that is only Saturdays shows it too late. Scoring a slice is feeding its rows to fresh metrics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from kosum_pl.decode.profile import profile_text

_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")
_DIGITS: Final = re.compile(r"(\d+)")


def slice_names(
    profiles: Sequence[Mapping[str, str]], *, columns: Sequence[str], max_values: int = 12
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """Slices by name, and the columns that have too many values to be sliced by.

    A row without a value in a column is in none of that column's slices; a column that no row has is left out.

    Args:
        profiles: Column to value, one mapping a row.
        columns: Profile columns, in the order that slices shall have.
        max_values: A column with more different values is no slice but an id or a free text.

    Returns:
        `column=value` to row numbers, numbers before texts and by their size; and the columns that were skipped.

    Raises:
        ValueError: `columns` are a bare text.

    Example:
        >>> rows = [{"weekday": "10", "id": "a"}, {"weekday": "7", "id": "b"}, {"weekday": "7.0", "id": "c"}, {}]
        >>> slice_names(rows, columns=["weekday", "id", "topic"], max_values=2)
        ({'weekday=7': [1, 2], 'weekday=10': [0]}, ('id',))
    """
    if isinstance(columns, str):
        raise ValueError(f"slices: columns are the bare text {columns!r}; give a list of profile columns")
    slices: dict[str, list[int]] = {}
    skipped = []
    for column in dict.fromkeys(columns):
        rows_of: dict[str, list[int]] = {}
        for row, profile in enumerate(profiles):
            # The same text that a preset's `when` is compared with: 7.0 is 7.
            if value := profile_text(profile.get(column, "")):
                rows_of.setdefault(value, []).append(row)
        if len(rows_of) > max_values:
            skipped.append(column)
            continue
        slices |= {f"{column}={value}": rows_of[value] for value in sorted(rows_of, key=_natural_key)}
    return slices, tuple(skipped)


def _natural_key(value: str) -> tuple[bool, float, list[str | int], str]:
    """Numbers by size, then texts with their digits by size: 2, 10, topic2, topic10."""
    if _NUMBER.fullmatch(value):
        return False, float(value), [], value
    # Digits stand at the odd places, so that equal places hold equal types.
    parts = [int(part) if i % 2 else part for i, part in enumerate(_DIGITS.split(value))]
    return True, 0.0, parts, value
