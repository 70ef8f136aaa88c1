"""What of the reference summaries a constraint would forbid, by frequency.

In: dialogues with references, and the constraint's settings. Out: counts of characters and words by split. A character
is outside exactly where the exact constraint would not let it be written: neither the charset, nor a fixed literal, nor
the row's own dialogue allows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from kosum_pl.decode import Charset, ConstraintSettings, foreign_places, row_literals
from kosum_pl.decode.constraint.vocabulary import Writing
from kosum_pl.metrics.scripts import script_of
from kosum_pl.types import TAG_PATTERN, Dialogue

_CONTEXT: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reference.

    Attributes:
        outside: Indices of the characters that nothing allows.
        outside_words: Words they stand in, as often as they do.
        row_words: Words of the dialogue that the reference needs, as often as it does.
        allowed_words: All words that the dialogue allows; empty where the reference needs none.
    """

    outside: tuple[int, ...] = ()
    outside_words: Counter[str] = field(default_factory=Counter)
    row_words: Counter[str] = field(default_factory=Counter)
    allowed_words: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Tally:
    """How often something stands in references, by split, and the text around its first occurrence."""

    occurrences: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    before: str = ""
    after: str = ""
    example_id: str = ""

    @property
    def order(self) -> tuple[int, int]:
        """The most rows come first."""
        return -self.rows.total(), -self.occurrences.total()


@dataclass(kw_only=True)
class Totals:
    """All references of one split and one position.

    Attributes:
        num_outside: References with a character outside.
        num_with_row_words: References that need a word of their own dialogue.
        num_accepted: References within the charset that the constraint accepts as the tokenizer writes them.
        num_rewritten: Of these, those that the tokenizer writes as another text.
        lost: Ids of rows within the charset that are not accepted.
    """

    num_references: int = 0
    num_characters: int = 0
    num_outside: int = 0
    num_outside_characters: int = 0
    num_with_row_words: int = 0
    num_accepted: int = 0
    num_rewritten: int = 0
    lost: list[str] = field(default_factory=list)

    @property
    def num_inside(self) -> int:
        """References of which every character is allowed."""
        return self.num_references - self.num_outside


def examine(text: str, *, dialogue: str, settings: ConstraintSettings) -> Finding:
    """What the constraint would forbid in one reference of a dialogue.

    Example:
        >>> finding = examine("KTX로 Jim의 café에 간다", dialogue="KTX 타자", settings=ConstraintSettings())
        >>> finding.outside, dict(finding.outside_words), dict(finding.row_words)
        ((5, 6, 7, 10, 11, 12, 13), {'café': 1, 'Jim': 1}, {'KTX': 1})
    """
    charset, literals = settings.character_set, settings.fixed_literals
    without_row_words = foreign_places(text, charset=charset, literals=literals)
    if not without_row_words:
        return Finding()
    words = settings.row_words(dialogue)
    outside = foreign_places(text, charset=charset, literals=literals, row_words=words)
    by_row_words = set(without_row_words) - set(outside)
    own = (*row_literals(text, charset), *TAG_PATTERN.findall(text))
    return Finding(
        outside=tuple(outside),
        outside_words=_words_at(text, outside, own, charset),
        row_words=_words_at(text, by_row_words, words, charset),
        allowed_words=words if by_row_words else (),
    )


def _words_at(text: str, indices: Iterable[int], words: Iterable[str], charset: Charset) -> Counter[str]:
    """How often each word stands where all of its characters outside the charset are among the indices."""
    left = set(indices)
    found: Counter[str] = Counter()
    for word in sorted(set(words), key=lambda word: (-len(word), word)):
        start = text.find(word)
        while start >= 0 and left:
            span = [index for index in range(start, start + len(word)) if text[index] not in charset]
            if span and left.issuperset(span):
                found[word] += 1
                left.difference_update(span)
            start = text.find(word, start + 1)
    return found


class ReferenceScan:
    """Counts over all references.

    Args:
        write: What the tokenizer makes of a text within the charset, given the words that its row allows; None where
            nobody asks.

    Attributes:
        totals: By split and position among a row's references, in the order of reading.
        row_words: Words that stand in references because their own dialogue has them.
    """

    def __init__(
        self, settings: ConstraintSettings, *, write: Callable[[str, Sequence[str]], Writing] | None = None
    ) -> None:
        self.settings = settings
        self.totals: dict[tuple[str, int], Totals] = {}
        self.num_rows: Counter[str] = Counter()
        self.characters: dict[str, Tally] = {}
        self.outside_words: dict[str, Tally] = {}
        self.row_words: dict[str, Tally] = {}
        self.scripts: dict[str, Tally] = {}
        self._write = write

    def add(self, dialogue: Dialogue, *, split: str) -> None:
        """Count a row's references."""
        self.num_rows[split] += 1
        found: set[tuple[str, str]] = set()
        for position, text in enumerate(dialogue.references):
            finding = examine(text, dialogue=dialogue.text, settings=self.settings)
            totals = self.totals.setdefault((split, position), Totals())
            self._count(totals, finding, text, dialogue.example_id)
            for kind, name, number, start in _found(finding, text):
                tally = self._tally(kind, name, text, start, dialogue.example_id)
                tally.occurrences[split] += number
                found.add((kind, name))
        for kind, name in found:
            getattr(self, kind)[name].rows[split] += 1

    def _count(self, totals: Totals, finding: Finding, text: str, example_id: str) -> None:
        totals.num_references += 1
        totals.num_characters += len(text)
        totals.num_with_row_words += bool(finding.row_words)
        if finding.outside:
            totals.num_outside += 1
            totals.num_outside_characters += len(finding.outside)
        elif self._write is not None:
            writing = self._write(text, finding.allowed_words)
            totals.num_accepted += writing.is_accepted
            totals.num_rewritten += writing.is_accepted and writing.is_rewritten
            if not writing.is_accepted:
                totals.lost.append(example_id)

    def _tally(self, kind: str, name: str, text: str, start: int, example_id: str) -> Tally:
        tallies: dict[str, Tally] = getattr(self, kind)
        if name not in tallies:
            end = start + (1 if kind == "scripts" else len(name))
            before, after = text[max(0, start - _CONTEXT) : start], text[end : end + _CONTEXT]
            tallies[name] = Tally(before=before, after=after, example_id=example_id)
        return tallies[name]


def _found(finding: Finding, text: str) -> Iterator[tuple[str, str, int, int]]:
    """(attribute of the scan, name, how often, where first) of everything that was found in a text."""
    for index in finding.outside:
        yield "characters", text[index], 1, index
        yield "scripts", script_of(text[index]), 1, index
    for kind, words in (("outside_words", finding.outside_words), ("row_words", finding.row_words)):
        for word, number in words.items():
            yield kind, word, number, text.find(word)


def by_frequency(tallies: Mapping[str, Tally]) -> list[tuple[str, Tally]]:
    """Names and counts, the most rows first.

    Example:
        >>> tallies = {"a": Tally(rows=Counter(train=1)), "b": Tally(rows=Counter(train=2, val=1))}
        >>> [name for name, _ in by_frequency(tallies)]
        ['b', 'a']
    """
    return sorted(tallies.items(), key=lambda item: (*item[1].order, item[0]))
