"""What a preset may say: types, ranges and settings that contradict one another.

In: the fields as a YAML file gives them, so of any type. Out: the same fields with the types they should have, and the
texts that satisfy `when`, or a `ValueError` of one line. Kept apart so that `preset.py` reads as a description of
the fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Final

from kosum_pl.decode.row_length import RowLength
from kosum_pl.types import UNLIMITED, profile_text

# Least and most; what is above would end in the memory of a machine, or in an overflow.
_MOST_TOKENS: Final = 131_072
_INTEGER_RANGE: Final = {
    "num_beams": (1, 256),
    "max_new_tokens": (1, _MOST_TOKENS),
    "max_new_tokens.min": (1, _MOST_TOKENS),
    "max_new_tokens.max": (1, _MOST_TOKENS),
    "min_new_tokens": (0, _MOST_TOKENS),
    "no_repeat_ngram_size": (0, _MOST_TOKENS),
    "top_k": (1, 10_000_000),
    "seed": (0, 2**63 - 1),
}
# Exclusive lower end, inclusive upper end.
_NUMBER_RANGE: Final = {
    "max_new_tokens.per_source_token": (0.0, 1000.0),
    "temperature": (0.0, 1000.0),
    "top_p": (0.0, 1.0),
    "repetition_penalty": (0.0, 1000.0),
    "length_penalty": (-1000.0, 1000.0),
}
_MAX_SHOWN: Final = 60
_OPTIONAL: Final = {"top_k", "seed", "temperature", "top_p"}
_SAMPLING_ONLY: Final = ("temperature", "top_p", "top_k", "seed")


def check_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a preset with whole numbers as floats where floats belong, and lists as tuples.

    Args:
        values: All fields of `DecodingPreset` but `when`, which has a reader of its own.

    Raises:
        ValueError: The first thing that is wrong, with preset, field, value and remedy.
    """
    name = values["name"]
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"preset: name is {name!r}; give it a text")
    where = f"preset '{name}'"
    checked: dict[str, Any] = {}
    for key, value in values.items():
        if value is None and key in _OPTIONAL:
            continue
        if key == "max_new_tokens" and isinstance(value, Mapping | RowLength):
            checked[key] = _check_row_length(value, where=where)
        elif key in _INTEGER_RANGE:
            _check_integer(key, value, where=where)
        elif key in _NUMBER_RANGE:
            checked[key] = _check_number(key, value, where=where)
    checked["bad_words"] = _check_words(values["bad_words"], where=where)
    _check_switches(values, where=where)
    _check_combinations({**values, **checked}, where=where)
    return checked


def check_conditions(when: Any, *, where: str) -> dict[str, tuple[str, ...]]:
    """Accepted texts of every column in `when`: whatever wrote them, all values are compared as one canonical text.

    Raises:
        ValueError: Not a mapping, an empty list, or a value that is neither text nor a number.

    Example:
        >>> check_conditions({"weekday": 7, "topic": ["여행", "쇼핑"]}, where="preset 'a'")
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


def _check_integer(key: str, value: Any, *, where: str) -> None:
    least, most = _INTEGER_RANGE[key]
    # A bool is an int to Python, not to whoever wrote it.
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{where}: {key} is {_shown(value)}; write a whole number of at least {least}")
    if value > most and value != UNLIMITED:  # which stands for no limit inside this program
        raise ValueError(f"{where}: {key} is {_shown(value)}; write a whole number of at most {most:,}")


def _check_number(key: str, value: Any, *, where: str) -> float:
    low, high = _NUMBER_RANGE[key]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low < value <= high:
        bounds = [f"above {low:g}", f"at most {high:g}"]
        hint = " (greedy decoding is do_sample: false)" if key == "temperature" and value == 0 else ""
        # YAML reads 1e-1 as text, which looks like a number to whoever wrote it.
        form = "a number in plain decimals" if isinstance(value, str) else "a number"
        raise ValueError(f"{where}: {key} is {_shown(value)}; write {form} {' and '.join(bounds)}".rstrip() + hint)
    return float(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _check_row_length(value: Mapping[str, Any] | RowLength, *, where: str) -> RowLength:
    given = asdict(value) if isinstance(value, RowLength) else value
    names = [item.name for item in fields(RowLength)]
    if set(given) != set(names):
        found = ", ".join(map(str, given)) or "nothing"
        raise ValueError(
            f"{where}: max_new_tokens holds {found}; write a number, or {{per_source_token: 0.4, min: 48, max: 256}}"
        )
    shortest, longest = given["min"], given["max"]
    _check_integer("max_new_tokens.min", shortest, where=where)
    _check_integer("max_new_tokens.max", longest, where=where)
    share = _check_number("max_new_tokens.per_source_token", given["per_source_token"], where=where)
    if shortest > longest:
        raise ValueError(f"{where}: max_new_tokens.min is {shortest}, above its max {longest}; lower the first")
    return RowLength(per_source_token=share, min=shortest, max=longest)


def _check_words(value: Any, *, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) and word.strip() for word in value):
        raise ValueError(f"{where}: bad_words is {value!r}; write a list of texts, none of them empty")
    return tuple(value)


def _check_switches(values: Mapping[str, Any], *, where: str) -> None:
    if not isinstance(values["do_sample"], bool):
        raise ValueError(f"{where}: do_sample is {values['do_sample']!r}; write true or false")
    stopping = values["early_stopping"]
    if not isinstance(stopping, bool) and stopping != "never":
        raise ValueError(f"{where}: early_stopping is {stopping!r}; write true, false or never")
    unit = values["no_repeat_ngram_unit"]
    if unit not in ("word", "token"):
        raise ValueError(f"{where}: no_repeat_ngram_unit is {unit!r}; write word or token")


def _check_combinations(values: Mapping[str, Any], *, where: str) -> None:
    if not values["do_sample"]:
        for key in _SAMPLING_ONLY:
            if values[key] is not None:
                remedy = f"set do_sample: true or take {key} out"
                raise ValueError(f"{where}: {key} is {values[key]!r} without sampling; {remedy}")
    if values["num_beams"] == 1:
        for key, neutral in (("length_penalty", 1.0), ("early_stopping", False)):
            if values[key] != neutral:
                remedy = f"set num_beams above 1 or take {key} out"
                raise ValueError(f"{where}: {key} is {values[key]!r} with one beam, where it does nothing; {remedy}")
    shortest, limit = values["min_new_tokens"], values["max_new_tokens"]
    # A row is never asked for more tokens than it may have.
    name, least = ("max_new_tokens.min", limit.min) if isinstance(limit, RowLength) else ("max_new_tokens", limit)
    if shortest > least:
        raise ValueError(f"{where}: min_new_tokens is {shortest}, above {name} {least}; lower the first")
