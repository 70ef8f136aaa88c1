"""Numbers of a data module that would fail in a library, deep inside a run, and there without their names.

In: arguments as a config gives them. Out: nothing, or one line that names the argument. Asked before a file is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_RANGES: Final[Mapping[str, tuple[int, int | None]]] = {
    "max_batch_tokens": (1, None),
    "batch_size": (1, None),
    "eval_batch_size": (1, None),
    "num_workers": (0, 1024),  # each is a process
    "num_eval_samples": (1, None),
    "seed": (0, 2**63 - 1),
}


def check_numbers(arguments: Mapping[str, Any]) -> None:
    """Refuse a number that is out of its range; those that are not given are left alone.

    Raises:
        ValueError: The first of them.

    Example:
        >>> check_numbers({"num_workers": -1})
        Traceback (most recent call last):
        ValueError: data.num_workers is -1; write a whole number from 0 to 1024
    """
    for name, (least, most) in _RANGES.items():
        value = arguments.get(name)
        if value is not None and (value < least or (most is not None and value > most)):
            raise ValueError(
                f"data.{name} is {value}; write a whole number from {least} {'on' if most is None else f'to {most}'}"
            )
