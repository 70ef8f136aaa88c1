"""Which rows of a split a slice holds: `weekday=7`, `weekday=6,7`, `length=q4`.

In: rows' profiles and lengths, or conditions as they are typed. Out: row numbers, or one line that says which columns
and values there are. The scores per slice and `validate --slice` both ask here, so that a name means the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.types import Dialogue, natural_key, profile_text

LENGTH_COLUMN: Final = "length"
"""Column of the quartiles `q1` to `q4`, unless the data has one of this name."""

_MIN_ROWS: Final = 8
_MAX_VALUES: Final = 12


def length_quartiles(lengths: Sequence[int] | NDArray[Any]) -> list[str]:
    """The quartile that each row's length falls into, the shortest `q1`; no names for fewer than 8 rows.

    A length on an edge belongs to the lower quartile, so that equal lengths are never parted: with many ties quartiles
    differ in size, and one may be empty.

    Args:
        lengths: Characters of each row's dialogue, (N,).

    Example:
        >>> length_quartiles([10, 20, 30, 40, 50, 60, 70, 80])
        ['q1', 'q1', 'q2', 'q2', 'q3', 'q3', 'q4', 'q4']
    """
    if len(lengths) < _MIN_ROWS:
        return [""] * len(lengths)
    edges = np.quantile(lengths, [0.25, 0.5, 0.75])
    return [f"q{quartile + 1}" for quartile in np.searchsorted(edges, lengths, side="left")]


def column_values(profiles: Sequence[Mapping[str, str]], lengths: Sequence[int]) -> dict[str, list[str]]:
    """Canonical values of every column that any of N rows has a value in, one a row, empty texts where a row has none.

    The same texts that a preset's `when` is compared with, where 7.0 is 7. The column `length` holds the quartiles of
    `lengths`, the characters of each row's dialogue, (N,), over just these rows, unless the data has one of this name;
    without lengths there is none.
    """
    names = dict.fromkeys(name for profile in profiles for name in profile)
    columns = {name: [profile_text(profile.get(name, "")) for profile in profiles] for name in names}
    columns = {name: values for name, values in columns.items() if any(values)}
    if LENGTH_COLUMN not in columns and any(quartiles := length_quartiles(lengths)):
        columns[LENGTH_COLUMN] = quartiles
    return columns


def slice_names(
    profiles: Sequence[Mapping[str, str]], *, columns: Sequence[str] | None, lengths: Sequence[int] = ()
) -> dict[str, list[int]]:
    """Row numbers by name of the slice: all rows of one value of a column.

    A mean over a split hides that its Saturdays are bad. A row without a value in a column is in none of that column's
    slices, and a column with more than a dozen different values is no slice but an id or a free text.

    Slices come in the order of `columns`; None for all that there are, and `length`.

    Returns:
        `column=value` to row numbers, numbers before texts and by their size.

    Example:
        >>> rows = [{"weekday": "10"}, {"weekday": "7"}, {"weekday": "7.0"}, {}]
        >>> slice_names(rows, columns=["weekday", "topic"])
        {'weekday=7': [1, 2], 'weekday=10': [0]}
    """
    if isinstance(columns, str):
        raise ValueError(f"slices: columns are the bare text {columns!r}; give a list of profile columns")
    values = column_values(profiles, lengths)
    slices: dict[str, list[int]] = {}
    for column in dict.fromkeys(values if columns is None else columns):
        rows_of: dict[str, list[int]] = {}
        for row, value in enumerate(values.get(column, ())):
            rows_of.setdefault(value, []).append(row)
        rows_of.pop("", None)
        if len(rows_of) <= _MAX_VALUES:
            slices |= {f"{column}={value}": rows_of[value] for value in sorted(rows_of, key=natural_key)}
    return slices


def check_slice_columns(wanted: Sequence[str] | None, dialogues: Iterable[Dialogue], *, split: str) -> None:
    """Refuse columns that no row has a value in: their scores would be missing without a word.

    Args:
        wanted: As `model.slices`; None for all that there are.
        dialogues: All rows of the split.
        split: Its name.

    Raises:
        ValueError: The first that names nothing.
    """
    missing = dict.fromkeys(wanted or ())
    known: dict[str, None] = {}
    for row in dialogues if missing else ():
        known.update(dict.fromkeys(name for name, value in row.profile.items() if value))
    known[LENGTH_COLUMN] = None
    for name in missing:
        if name not in known:
            raise ValueError(
                f"model.slices names '{name}', a column that no row of {split} has; there are: {', '.join(known)}"
            )


@dataclass(frozen=True, slots=True)
class SliceFilter:
    """Conditions that a row must satisfy, all of them.

    Attributes:
        conditions: Each a column, and the text behind its `=`: one value, or several with commas, of which any will do.
    """

    conditions: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, texts: Iterable[str]) -> SliceFilter:
        """Read conditions as they are typed.

        Raises:
            ValueError: A text has no `=`, or nothing on one side of it.

        Example:
            >>> SliceFilter.parse(["weekday=6,7", "length=q4"]).name
            'weekday=6,7 length=q4'
        """
        conditions = []
        for text in texts:
            column, _, values = (part.strip() for part in text.partition("="))
            if not column or not values.strip(", "):
                raise ValueError(f"slice '{text}': write column=value or column=value,value, such as weekday=7")
            conditions.append((column, values))
        return cls(tuple(conditions))

    def __bool__(self) -> bool:
        return bool(self.conditions)

    @property
    def name(self) -> str:
        """All conditions, as they are typed."""
        return " ".join(f"{column}={values}" for column, values in self.conditions)

    def rows(self, dialogues: Iterable[Dialogue], *, split: str) -> NDArray[np.int64]:
        """Numbers of the rows that satisfy every condition, ascending, (M,) with M > 0.

        Length quartiles are those of all `dialogues`, whatever the other conditions leave of them.

        Raises:
            ValueError: A column that no row has, or no row is left.
        """
        every = list(dialogues)
        columns = column_values([row.profile for row in every], [len(row.text) for row in every])
        kept: NDArray[np.bool_] | None = None
        for column, wanted in self.conditions:
            if column not in columns:
                known = ", ".join(columns) or "none"
                raise ValueError(f"slice {column}={wanted}: {split} has no column '{column}'; there are: {known}")
            matches = _matches(columns[column], wanted)
            if not matches.any():
                raise ValueError(
                    f"slice {column}={wanted}: no row of {split} matches; values of {column}: {_named(columns[column])}"
                )
            kept = matches if kept is None else kept & matches
        assert kept is not None, "a filter has at least one condition"
        if not kept.any():
            raise ValueError(f"slice {self.name}: rows of {split} match each condition, none matches all; give fewer")
        return np.flatnonzero(kept)

    def line(self, num_kept: int, num_rows: int) -> str:
        """What to tell of the filtered split.

        Example:
            >>> SliceFilter.parse(["weekday=7"]).line(67, 450)
            'slice weekday=7: 67 of 450 rows'
        """
        return f"slice {self.name}: {num_kept:,} of {num_rows:,} rows"


def _matches(values: Sequence[str], wanted: str) -> NDArray[np.bool_]:
    """Rows that have one of the wanted values; a value that itself holds a comma is tried first."""
    whole = profile_text(wanted)
    accepted = {whole} if whole in values else {profile_text(part) for part in wanted.split(",")} - {""}
    return np.array([value in accepted for value in values], dtype=np.bool_)


def _named(values: Iterable[str]) -> str:
    """The different values in their natural order, and not too many of them."""
    ordered = sorted({value for value in values if value}, key=natural_key)
    more = f" and {len(ordered) - _MAX_VALUES:,} more" if len(ordered) > _MAX_VALUES else ""
    return ", ".join(ordered[:_MAX_VALUES]) + more
