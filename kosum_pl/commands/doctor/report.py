"""One page for a terminal, and the same as plain values for JSON.

In: findings, rows, figures. Out: rich tables and text, or a dictionary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from kosum_pl.commands.doctor.data import Lengths
from kosum_pl.commands.doctor.finding import LEVELS, Finding, Level, worst_level
from kosum_pl.commands.doctor.language import LanguageFit
from kosum_pl.commands.doctor.mask import Kind, MaskCounts, Piece
from kosum_pl.commands.output import visible
from kosum_pl.decode.reachability.report import Reachability

_MARKS: Final[dict[Level, tuple[str, str]]] = {
    "ok": ("ok", "green"),
    "note": ("note", "blue"),
    "warning": ("warning", "yellow"),
    "broken": ("BROKEN", "bold red"),
}
_STYLES: Final[dict[Kind, str]] = {
    "prompt": "grey50",
    "supervised": "green",
    "terminator": "bold black on green",
    "masked": "bold white on red",
}
_PROMPT_SHOWN: Final = 120  # characters at either end of a prompt
_BORDER: Final = "│"
_LEGEND: Final = "rows as trained: grey is read, green is learnt, the terminator is marked, red is lost"


@dataclass(frozen=True, kw_only=True)
class MaskedRow:
    """A row of the mask view: its text, by what each piece is for."""

    example_id: str
    pieces: Sequence[Piece]


@dataclass(kw_only=True)
class DoctorReport:
    """What `doctor` has found.

    Attributes:
        counts: Of the mask; None where no row could be encoded.
        language: The config's own tokenizer first.
        reachability: By the name that `fit` shows it under.
    """

    config_name: str
    findings: list[Finding] = field(default_factory=list)
    rows: list[MaskedRow] = field(default_factory=list)
    counts: MaskCounts | None = None
    language: list[LanguageFit] = field(default_factory=list)
    lengths: list[Lengths] = field(default_factory=list)
    reachability: dict[str, Reachability] = field(default_factory=dict)

    def add(self, area: str, findings: Iterable[Finding]) -> None:
        """Put findings under their heading."""
        self.findings += [replace(finding, area=area) for finding in findings]

    @property
    def status(self) -> Level:
        """The worst level of all findings."""
        return worst_level(self.findings)

    def values(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {
            "config": self.config_name,
            "status": self.status,
            "num_findings": dict(Counter(finding.level for finding in self.findings)),
            "findings": [asdict(finding) for finding in self.findings],
            "mask": {
                "counts": asdict(self.counts) if self.counts else None,
                "rows": [asdict(row) for row in self.rows],
            },
            "language": [asdict(fit) for fit in self.language],
            "lengths": [asdict(entry) for entry in self.lengths],
            "reachability": {name: each.values() for name, each in self.reachability.items()},
        }

    def print(self, console: Console) -> None:
        """The page, the verdict last."""
        for area, group in groupby(self.findings, key=lambda finding: finding.area):
            console.print(Text(area, style="bold"))
            console.print(_finding_table(list(group)))
            for part in self._parts(area):
                console.print(part)
        console.print(self.verdict())

    def verdict(self) -> Text:
        """How many findings there are of each level."""
        counts = Counter(finding.level for finding in self.findings)
        numbers = ", ".join(_counted(counts[level], level) for level in reversed(LEVELS) if counts[level])
        return Text(f"{self.config_name}: {numbers}", style=_MARKS[self.status][1])

    def _parts(self, area: str) -> list[RenderableType]:
        if area == "language fit" and self.language:
            return [language_table(self.language)]
        if area == "mask" and self.rows:
            return [Text(_LEGEND, style="italic"), *(row_text(row) for row in self.rows)]
        if area == "data" and self.lengths:
            return [length_table(self.lengths)]
        return []


def _counted(number: int, level: Level) -> str:
    is_plural = number != 1 and level in ("note", "warning")
    return f"{number} {level}{'s' if is_plural else ''}"


def _finding_table(findings: Sequence[Finding]) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(min_width=9, justify="right")
    table.add_column()
    for finding in findings:
        mark, style = _MARKS[finding.level]
        text = Text(visible(finding.text))
        if finding.remedy:
            text.append(f" → {visible(finding.remedy)}", style="italic")
        table.add_row(Text(mark, style=style), text)
    return table


def row_text(row: MaskedRow) -> Text:
    """A row in colours, the middle of a long prompt left out."""
    text = Text(f"[{row.example_id}] ", style="bold")
    for number, piece in enumerate(row.pieces):
        if number:
            text.append(_BORDER, style="dim")  # for eyes and files without colours
        shown = visible(piece.text)
        if piece.kind == "prompt" and len(shown) > 2 * _PROMPT_SHOWN:
            shown = f"{shown[:_PROMPT_SHOWN]} … {piece.num_tokens} tokens … {shown[-_PROMPT_SHOWN:]}"
        text.append(shown, style=_STYLES[piece.kind])
    return text


def language_table(fits: Sequence[LanguageFit]) -> Table:
    """Tokenizers side by side, the config's own first."""
    table = Table(title="tokenizers on the same references", title_justify="left")
    table.add_column("config")
    for name in ("vocabulary", "tokens per Hangul character", "of 2,350 syllables", "of 11,172", "<unk>"):
        table.add_column(name, justify="right")
    for number, fit in enumerate(fits):
        shares = ("?" if share is None else f"{share:.1%}" for share in (fit.common_share, fit.all_share))
        rate = "?" if fit.tokens_per_hangul is None else f"{fit.tokens_per_hangul:.2f}"
        cells = (f"{fit.num_tokens:,}", rate, *shares, f"{fit.unknown_rate:.2%}")
        table.add_row(fit.name, *cells, style="bold" if number == 0 else "")
    return table


def length_table(lengths: Sequence[Lengths]) -> Table:
    """Tokens by split."""
    table = Table(title="lengths in tokens", title_justify="left")
    table.add_column("split")
    table.add_column("part")
    for name in ("p50", "p95", "max", "limit", "over"):
        table.add_column(name, justify="right")
    for entry in lengths:
        numbers = (entry.p50, entry.p95, entry.longest, entry.limit, entry.num_over)
        table.add_row(entry.split, entry.part, *(f"{number:,}" for number in numbers))
    return table
