"""Which settings of two configs differ.

In: two parsed `config.yaml`. Out: dotted names with both values. Two runs of a day differ in one line of a hundred.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_ABSENT: Final = "–"


def config_differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Settings that differ: dotted name, value in the first, value in the other; a dash where one has none.

    Example:
        >>> config_differences({"data": {"seed": 1, "x": [1]}}, {"data": {"seed": 2, "x": [1]}, "model": None})
        [('data.seed', '1', '2'), ('model', '–', 'null')]
    """
    ours, theirs = (dict(_flat(config)) for config in (first, other))
    names = dict.fromkeys([*ours, *theirs])
    pairs = ((name, ours.get(name, _ABSENT), theirs.get(name, _ABSENT)) for name in names)
    return [(name, one, two) for name, one, two in pairs if one != two]


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
            yield from _flat({_entry_name(entry, index): entry for index, entry in enumerate(value)}, f"{name}.")
        else:
            yield name, json.dumps(value, ensure_ascii=False, default=str)


def _entry_name(entry: Any, index: int) -> str:
    """An entry of a list of classes is known by its class, so that a callback more does not shift the others."""
    path = entry.get("class_path") if isinstance(entry, Mapping) else None
    return str(path).rpartition(".")[2] if path else str(index)
