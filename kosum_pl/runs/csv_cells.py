"""Cells of written CSV files that a spreadsheet would take for a formula.

In: the cells of a row. Out: the same, or with an apostrophe before each such text, which spreadsheets show as text; and
how many there were. An id `=HYPERLINK(…)` is harmless to a program and runs in a spreadsheet. A file for a leaderboard
holds texts as they are, so the apostrophe is a choice (`--safe_csv`), and without it the cells are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

FORMULA_MARKS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last are wide ones
"""First characters of a formula, as OWASP lists them under CSV injection."""

_APOSTROPHE: Final = "'"


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may compute a cell instead of showing it.

    Example:
        >>> is_formula("=1+1"), is_formula("지민이 간다."), is_formula("'=1+1")
        (True, False, False)
    """
    return text.startswith(FORMULA_MARKS)


def neutralized(text: str) -> str:
    """A cell that no spreadsheet computes; `restored` gives the text back, whatever it was.

    Example:
        >>> neutralized("=1+1"), neutralized("가"), neutralized("'=1+1")
        ("'=1+1", '가', "''=1+1")
    """
    return f"{_APOSTROPHE}{text}" if is_formula(text.lstrip(_APOSTROPHE)) else text


def restored(cell: str) -> str:
    """The text of a `neutralized` cell.

    Example:
        >>> restored("'=1+1"), restored("'가'")
        ('=1+1', "'가'")
    """
    is_neutral = cell.startswith(_APOSTROPHE) and is_formula(cell.lstrip(_APOSTROPHE))
    return cell[1:] if is_neutral else cell


class CsvCells:
    """Cells on their way into CSV files, which it counts where they are formulas.

    Args:
        is_safe: Whether such cells get an apostrophe.

    Attributes:
        counts: Such cells by file, of its last writing.
    """

    def __init__(self, *, is_safe: bool = False) -> None:
        self.is_safe = is_safe
        self.counts: Counter[str] = Counter()

    def begin(self, file: str) -> None:
        """Count anew for a file that is written again."""
        self.counts[file] = 0

    def row(self, values: Iterable[object], *, file: str) -> list[object]:
        """The cells of a row; numbers are none of a formula, whatever their sign."""
        values = list(values)
        self.counts[file] += sum(isinstance(value, str) and is_formula(value) for value in values)
        if not self.is_safe:
            return values
        return [neutralized(value) if isinstance(value, str) else value for value in values]

    def lines(self) -> list[str]:
        """What to say of it; no line where there was none."""
        found = [f"{count:,} in {file}" for file, count in self.counts.items() if count]
        if not found:
            return []
        what = f"cells that begin as a spreadsheet's formula (=, +, -, @): {', '.join(found)}"
        return [f"{what}; each got an apostrophe" if self.is_safe else f"warning: {what}; --safe_csv has them shown"]
