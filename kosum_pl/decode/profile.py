"""Conditions on a row's profile: what `when` in a preset means.

In: a `when` mapping as YAML gives it. Out: columns with the texts that satisfy them. The profile holds text, YAML
numbers, a spreadsheet floats: all are compared as one canonical text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kosum_pl.types import profile_text


def read_conditions(when: Any, *, where: str) -> dict[str, tuple[str, ...]]:
    """Accepted texts of every column in `when`.

    Args:
        when: Column to a value, or to a list of which any one will do.
        where: Start of an error message.

    Raises:
        ValueError: Not a mapping, an empty list, or a value that is neither text nor a number.

    Example:
        >>> read_conditions({"weekday": 7, "topic": ["여행", "쇼핑"]}, where="preset 'a'")
        {'weekday': ('7',), 'topic': ('여행', '쇼핑')}
    """
    if not isinstance(when, Mapping):
        raise ValueError(f"{where}: when is {when!r}; write a mapping such as {{weekday: 7}}")
    conditions = {}
    for column, wanted in when.items():
        if not isinstance(column, str) or not column.strip():
            raise ValueError(f"{where}: when names the column {column!r}; write its name in quotes")
        is_list = isinstance(wanted, Sequence) and not isinstance(wanted, str)
        values = list(wanted) if is_list else [wanted]
        if not values:
            raise ValueError(
                f"{where}: when.{column} is an empty list, which no row matches; list values or take it out"
            )
        for value in values:
            # YAML turns a bare yes, no, on or off into a boolean, which no cell of a table is.
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise ValueError(f"{where}: when.{column} holds {value!r}; write text or a number, in quotes if unsure")
        conditions[column] = tuple(profile_text(value) for value in values)
    return conditions


def is_match(conditions: Mapping[str, Sequence[str]], profile: Mapping[str, str]) -> bool:
    """Whether a profile satisfies every condition; a column that the row lacks satisfies none.

    Example:
        >>> is_match({"weekday": ("7",)}, {"weekday": "7.0", "topic": "여행"}), is_match({}, {})
        (True, True)
    """
    return all(column in profile and profile_text(profile[column]) in values for column, values in conditions.items())
