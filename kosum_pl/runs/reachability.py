"""How many references the run can generate at all, measured before a `fit` trains on them.

In: the Trainer's data module and module. Out: a `Reachability` by the name it is shown under, and its lines. Rules that
forbid what is trained for cost a score that no training wins back, and no curve shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kosum_pl.decode.reachability.report import WARNING_SHARE, Reachability

MAX_ROWS: Final = 500
"""References that are looked at before a `fit`, spread evenly."""


def measure_fit(datamodule: Any, module: Any, *, max_rows: int = MAX_ROWS) -> dict[str, Reachability]:
    """References of val, or of train where there is no val, under the presets that a submission is made with.

    Those of validations inside `fit` follow where they forbid more. Empty where the data module cannot measure.
    `max_rows` is the number of references that are looked at, spread evenly.

    Raises:
        ValueError: The constraint or a preset does not fit the tokenizer.
    """
    measure = getattr(datamodule, "measure_reachability", None)
    if measure is None:
        return {}
    decoding = module.decoding
    split = "val" if "val" in datamodule.tables else "train"
    found, inside = measure(split, decoding=decoding, max_rows=max_rows)
    return {split: found, **({f"{split} inside fit": inside} if inside.share < found.share else {})}


def reachability_lines(found: Mapping[str, Reachability]) -> Iterator[str]:
    """A line for each; a warning with the change that helps most where few can be said."""
    for name, each in found.items():
        line = each.line(name)
        yield f"warning: {line}; {each.remedy_line()}".removesuffix("; ") if each.share < WARNING_SHARE else line
