"""What `drift` has found, for a terminal and for a file.

In: comparisons of train with other splits. Out: one table a split, the words under it, the topic clusters; all of it as
plain values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kosum_pl.data import TopicClusters
from kosum_pl.drift.compare import Drift
from kosum_pl.drift.features import OTHER_VALUES, Feature, Spread
from kosum_pl.drift.words import percent

_MAX_VALUES_SHOWN: Final = 3
_EXPLAINED: Final = (
    "js: Jensen-Shannon distance, 0 alike, 1 nothing in common; psi: population stability index, 0.1 some, 0.25 much; "
    "chance: the same for random rows of both; p: share of random deals that lie as far apart"
)


@dataclass(frozen=True, kw_only=True)
class DriftReport:
    """All comparisons of a config.

    Attributes:
        topics: The clusters, where `data.topics` asks for them.
        notes: Lines of reading and encoding.
    """

    drifts: Sequence[Drift]
    topics: TopicClusters | None
    notes: Sequence[str]

    def values(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        return {
            "splits": [drift.values() for drift in self.drifts],
            "topics": None if self.topics is None else self.topics.values(),
            "notes": list(self.notes),
        }

    def print(self, console: Console) -> None:
        """Print it."""
        for line in self.notes:
            console.print(Text(line), soft_wrap=True)
        for drift in self.drifts:
            console.print(_table(drift))
            for note in drift.notes:
                console.print(Text(note), soft_wrap=True)
        console.print(Text(_EXPLAINED, style="dim"), soft_wrap=True)
        if self.topics is not None:
            console.print(Text("topic clusters of train, the profile column topic_cluster:", style="bold"))
            for line in self.topics.lines():
                console.print(Text(f"  {line}"), soft_wrap=True)
        console.print(Text("in words:", style="bold"))
        for drift in self.drifts:
            for line in drift.words():
                console.print(Text(f"- {line}"), soft_wrap=True)


def _table(drift: Drift) -> Table:
    title = f"train ({drift.num_train:,} rows) against {drift.name} ({drift.num_other:,} rows)"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in ("train", drift.name):
        table.add_column(name, overflow="fold")
    for name in ("js", "chance", "psi", "chance", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("real")
    for feature in drift.features:
        far = feature.distance
        numbers = [f"{value:.3f}" for value in (far.js, far.expected_js, far.psi, far.expected_psi)]
        cells = [*_split_cells(feature), *numbers, f"{far.p_value:.4f}", "yes" if feature.is_real else ""]
        table.add_row(*map(Text, [feature.name, *cells]))
    for wording in drift.wordings:
        new = wording.new
        share = f"{percent(new.share)} new (usual: {percent(new.expected_share)})"
        row = [f"trigrams of {wording.name}", "", share, "", "", "", "", "", "yes" if wording.is_real else ""]
        table.add_row(*map(Text, row))
    return table


def _split_cells(feature: Feature) -> tuple[str, str]:
    if feature.spreads is not None:
        return _spread_cell(feature.spreads[0]), _spread_cell(feature.spreads[1])
    return _share_cell(feature.bins, feature.train), _share_cell(feature.bins, feature.other)


def _spread_cell(spread: Spread) -> str:
    return f"{spread.median:,.0f} ({spread.lower:,.0f} to {spread.upper:,.0f}), mean {spread.mean:,.1f}"


def _share_cell(bins: Sequence[str], counts: Sequence[int]) -> str:
    most = sorted(zip(bins, counts, strict=True), key=lambda pair: (pair[0] == OTHER_VALUES, -pair[1]))
    shown = [f"{name}: {percent(count / sum(counts))}" for name, count in most if count]
    more = f", {len(shown) - _MAX_VALUES_SHOWN} more" if len(shown) > _MAX_VALUES_SHOWN else ""
    return ", ".join(shown[:_MAX_VALUES_SHOWN]) + more
