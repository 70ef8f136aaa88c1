"""Everything `charset` found, as tables for a terminal and as plain values for JSON.

In: the constraint, the tokenizer's report and the scan of the references. Out: rich tables, and a dictionary with all
that the tables shorten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from kosum_pl.commands.charset.advice import advice
from kosum_pl.commands.charset.tables import (
    character_table,
    describe_character,
    pairs,
    shortened,
    totals_table,
    word_table,
)
from kosum_pl.decode import ConstraintSettings
from kosum_pl.decode.constraint.vocabulary import VocabularyReport
from kosum_pl.metrics.reference_scan import ReferenceScan, Tally, by_frequency

_NUM_LOST_SHOWN: Final = 5
_NUM_SYLLABLES: Final = 11_172
_KINDS: Final = {
    "automaton": "automaton: exact, nothing outside can be said",
    "static_mask": "static_mask: one list of tokens for all steps, loses syllables or leaks",
    "prefix_function": "prefix_function: exact, and slow",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class CharsetReport:
    """What `charset` shows; `settings` are the config's constraint, or the default one where `is_set` is false."""

    settings: ConstraintSettings
    is_set: bool
    vocabulary: VocabularyReport
    scan: ReferenceScan
    notes: Sequence[str] = ()

    @property
    def advice(self) -> list[str]:
        """What to do, a line each."""
        return advice(self.settings, is_set=self.is_set, vocabulary=self.vocabulary, scan=self.scan)

    def values(self) -> dict[str, Any]:
        """All of it as plain values."""
        settings, scan = self.settings, self.scan
        return {
            "constraint": {
                **asdict(settings),
                "is_set": self.is_set,
                "literals": list(settings.fixed_literals),
                "num_characters": len(settings.character_set.code_points),
            },
            "vocabulary": {**asdict(self.vocabulary), "num_unwritable_syllables": self.vocabulary.num_syllables},
            "references": [
                {
                    "split": split,
                    "position": position,
                    "share_outside": totals.num_outside / totals.num_references,
                    **asdict(totals),
                }
                for (split, position), totals in scan.totals.items()
            ],
            "characters": [
                {**describe_character(char), **_counts(tally)} for char, tally in by_frequency(scan.characters)
            ],
            "scripts": [{"script": script, **_counts(tally)} for script, tally in by_frequency(scan.scripts)],
            "outside_words": [{"word": word, **_counts(tally)} for word, tally in by_frequency(scan.outside_words)],
            "row_words": [{"word": word, **_counts(tally)} for word, tally in by_frequency(scan.row_words)],
            "notes": list(self.notes),
            "advice": self.advice,
        }

    def print(self, console: Console) -> None:
        """Print it."""
        for line in self.notes:
            console.print(Text(line), soft_wrap=True)
        console.print(pairs(self._facts()))
        console.print(totals_table(self.scan))
        for line in self._lost_lines():
            console.print(Text(line), soft_wrap=True)
        if self.scan.characters:
            console.print(character_table(self.scan))
        for title, tallies in (
            ("words outside the charset that their own dialogue does not license", self.scan.outside_words),
            ("row words: allowed in these rows, as their own dialogue has them", self.scan.row_words),
        ):
            if tallies:
                console.print(word_table(title, tallies, splits=list(self.scan.num_rows)))
        for line in self.advice:
            console.print(Text(f"- {line}"), soft_wrap=True)

    def _facts(self) -> Iterator[tuple[str, str]]:
        settings, vocabulary = self.settings, self.vocabulary
        if not self.is_set:
            yield "constraint", "model.constraint is null: anything may be said; what follows is the default's"
        yield ("kind" if not self.is_set else "constraint"), _KINDS[settings.kind]
        yield "charset", f"{settings.character_set}: {len(settings.character_set.code_points):,} characters"
        literals = settings.fixed_literals
        yield "fixed literals", f"{len(literals)} in every row: {_some(literals)}" if literals else "none"
        row_literals = "on: words outside the charset that stand in a row's own dialogue, for that row"
        yield "row literals", row_literals if settings.row_literals else "off: such words are outside in every row"
        yield "small head", "on" if settings.small_head else "off"
        yield (
            "tokenizer",
            f"{vocabulary.tokenizer}: {vocabulary.num_tokens:,} tokens, {vocabulary.num_allowed:,} may be said",
        )
        yield (
            "tables",
            f"{vocabulary.num_states} states, {vocabulary.table_bytes / 1e6:.1f} MB; built in "
            f"{vocabulary.build_seconds:.2f} s, loaded in {vocabulary.load_seconds:.2f} s",
        )
        yield "cannot write", self._unwritable_line()
        if vocabulary.bound:
            yield "only with others", f"{len(vocabulary.bound):,} characters: {shortened(vocabulary.bound)}"

    def _unwritable_line(self) -> str:
        missing = self.vocabulary.unwritable
        if not missing:
            return "nothing: every character of the charset can be written"
        return (
            f"{len(missing):,} characters of the charset, {self.vocabulary.num_syllables:,} of them among the "
            f"{_NUM_SYLLABLES:,} Hangul syllables: {shortened(missing)}"
        )

    def _lost_lines(self) -> Iterator[str]:
        for (split, _), totals in self.scan.totals.items():
            if totals.lost:
                more = f" and {len(totals.lost) - _NUM_LOST_SHOWN:,} more" if len(totals.lost) > _NUM_LOST_SHOWN else ""
                yield f"{split}: lost are {', '.join(totals.lost[:_NUM_LOST_SHOWN])}{more}"


def _counts(tally: Tally) -> dict[str, Any]:
    return {
        "occurrences": dict(tally.occurrences),
        "rows": dict(tally.rows),
        "before": tally.before,
        "after": tally.after,
        "example_id": tally.example_id,
    }


def _some(names: Sequence[str]) -> str:
    return f"{names[0]} … {names[-1]}" if len(names) > 2 else ", ".join(names)
