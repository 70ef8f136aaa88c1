"""Tables of the `charset` command for a terminal.

In: counts over references. Out: rich tables of the most frequent ones, each with an example in its context.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from rich.table import Table
from rich.text import Text

from kosum_pl.commands.output import visible
from kosum_pl.metrics.reference_scan import ReferenceScan, Tally, Totals, by_frequency
from kosum_pl.metrics.scripts import script_of

NUM_SHOWN: Final = 20
_NUM_CHARACTERS_SHOWN: Final = 40


def pairs(facts: Iterable[tuple[str, str]]) -> Table:
    """Names and values, a line each."""
    table = Table.grid(padding=(0, 2))
    for name, value in facts:
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def totals_table(scan: ReferenceScan) -> Table:
    """One line for each split, and for each reference where a row has several."""
    table = Table(title="references", title_justify="left")
    table.add_column("split")
    has_rewritten = any(totals.num_rewritten for totals in scan.totals.values())
    names = ["number", "characters", "with some outside", "share", "characters outside", "with row words", "inside"]
    for name in [*names, "accepted", *(["as another text"] if has_rewritten else [])]:
        table.add_column(name, justify="right")
    has_several = any(position for _, position in scan.totals)
    for (split, position), totals in scan.totals.items():
        label = f"{split}, reference {position + 1}" if has_several else split
        rewritten = [f"{totals.num_rewritten:,}"] if has_rewritten else []
        table.add_row(label, *_totals_cells(totals), *rewritten)
    return table


def _totals_cells(totals: Totals) -> tuple[str, ...]:
    accepted = f" ({totals.num_accepted / totals.num_inside:.2%})" if totals.num_inside else ""
    return (
        f"{totals.num_references:,}",
        f"{totals.num_characters:,}",
        f"{totals.num_outside:,}",
        f"{totals.num_outside / totals.num_references:.2%}",
        f"{totals.num_outside_characters:,}",
        f"{totals.num_with_row_words:,}",
        f"{totals.num_inside:,}",
        f"{totals.num_accepted:,}{accepted}",
    )


def character_table(scan: ReferenceScan) -> Table:
    """Characters outside, the most frequent ones."""
    table = Table(title=_title("characters outside, by rows", scan.characters), title_justify="left")
    for name in ("", "code point", "name", "script"):
        table.add_column(name, no_wrap=name != "name", max_width=28)
    _add_count_columns(table, splits=list(scan.num_rows))
    for char, tally in by_frequency(scan.characters)[:NUM_SHOWN]:
        seen = describe_character(char)
        names = (Text(visible(char)), seen["code_point"], seen["name"], seen["script"])
        table.add_row(*names, *_count_cells(char, tally, splits=list(scan.num_rows)))
    return table


def word_table(title: str, tallies: Mapping[str, Tally], *, splits: Sequence[str]) -> Table:
    """Words with their counts, the most frequent ones."""
    table = Table(title=_title(title, tallies), title_justify="left")
    table.add_column("word")
    _add_count_columns(table, splits=splits)
    for word, tally in by_frequency(tallies)[:NUM_SHOWN]:
        table.add_row(Text(visible(word)), *_count_cells(word, tally, splits=splits))
    return table


def _add_count_columns(table: Table, *, splits: Sequence[str]) -> None:
    for name in [*splits, *(f"{split} rows" for split in splits)]:
        table.add_column(name, justify="right")
    table.add_column("example", no_wrap=True, min_width=26)


def _count_cells(name: str, tally: Tally, *, splits: Sequence[str]) -> list[str | Text]:
    numbers = [*(tally.occurrences[split] for split in splits), *(tally.rows[split] for split in splits)]
    example = Text.assemble(visible(tally.before), (visible(name), "bold reverse"), visible(tally.after))
    return [*(f"{number:,}" for number in numbers), example]


def _title(title: str, tallies: Mapping[str, Tally]) -> str:
    return f"{title} ({NUM_SHOWN} of {len(tallies):,})" if len(tallies) > NUM_SHOWN else title


def shortened(characters: str) -> str:
    """The first of many characters, as a terminal can show them."""
    shown = visible(characters[:_NUM_CHARACTERS_SHOWN])
    return f"{shown} …" if len(characters) > _NUM_CHARACTERS_SHOWN else shown


def describe_character(char: str) -> dict[str, str]:
    """Character, code point, name in Unicode, and script.

    Example:
        >>> describe_character("é")["code_point"], describe_character("é")["script"]
        ('U+00E9', 'Latin')
    """
    return {
        "character": char,
        "code_point": f"U+{ord(char):04X}",
        "name": unicodedata.name(char, "(unnamed)"),
        "script": script_of(char),
    }
