"""Which rows form a slice: all rows of one value of a profile column, or of one quartile of lengths.

In: rows' profiles and lengths. Out: `weekday=7` to row numbers. A mean over a split hides that its Saturdays are bad; a
test split that is only Saturdays shows it too late. A slice scores what its rows score alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kosum_pl.data.slices import LENGTH_COLUMN, length_quartiles
from kosum_pl.types import natural_key, profile_text


def slice_names(
    profiles: Sequence[Mapping[str, str]],
    *,
    columns: Sequence[str] | None,
    lengths: Sequence[int] = (),
    max_values: int = 12,
) -> tuple[dict[str, list[int]], tuple[str, ...]]:
    """Slices by name, and the columns that have too many values to be sliced by.

    A row without a value in a column is in none of that column's slices; a column that no row has is left out. The
    column `length` is not read from the data, unless the data has one of this name: its values `q1` (the shortest) to
    `q4` are the quartiles of `lengths` over just these rows; see `length_quartiles`.

    Args:
        profiles: Column to value, one mapping a row.
        columns: Profile columns, in the order that slices shall have; None for all that there are, and `length`.
        lengths: Characters of each row's dialogue, (N,); without them there are no quartiles.
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
    if columns is None:
        columns = [*(name for profile in profiles for name in profile), LENGTH_COLUMN]
    slices: dict[str, list[int]] = {}
    skipped = []
    for column in dict.fromkeys(columns):
        rows_of = _rows_by_value(profiles, column)
        if column == LENGTH_COLUMN and not rows_of:
            rows_of = _rows_by_value([{column: quartile} for quartile in length_quartiles(lengths)], column)
        if len(rows_of) > max_values:
            skipped.append(column)
            continue
        slices |= {f"{column}={value}": rows_of[value] for value in sorted(rows_of, key=natural_key)}
    return slices, tuple(skipped)


def _rows_by_value(profiles: Sequence[Mapping[str, str]], column: str) -> dict[str, list[int]]:
    """Row numbers by canonical value: the same text that a preset's `when` is compared with, where 7.0 is 7."""
    rows_of: dict[str, list[int]] = {}
    for row, profile in enumerate(profiles):
        if value := profile_text(profile.get(column, "")):
            rows_of.setdefault(value, []).append(row)
    return rows_of
