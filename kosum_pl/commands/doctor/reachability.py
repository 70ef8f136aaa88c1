"""Whether the references can be generated at all, under the config's presets and limits.

In: what `fit` measures before it trains. Out: a finding for each line that it would print. A ban or a limit that
forbids every fifth reference is a fault like a mask that hides the terminator: the score is lost before training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from kosum_pl.commands.doctor.finding import Finding, broken, ok, warning
from kosum_pl.decode.reachability.report import BROKEN_SHARE, WARNING_SHARE, Reachability

MAX_REFERENCES: Final = 2_000
"""References that are looked at, spread evenly."""
_NO_CHANGE: Final = "no one field of a preset helps: several rules forbid the same references"


def reachability_findings(found: Mapping[str, Reachability]) -> Iterator[Finding]:
    """A finding for each line of `fit`, with the change of a preset that helps most where few can be said."""
    for name, each in found.items():
        if each.share >= WARNING_SHARE:
            yield ok(each.line(name))
        else:
            make = broken if each.share < BROKEN_SHARE else warning
            yield make(each.line(name), each.remedy_line() or _NO_CHANGE)
