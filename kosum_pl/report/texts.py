"""What is in the summaries: foreign characters, lost and swapped tags, the best and worst rows, lengths.

In: scored runs. Out: view data that shows the texts themselves. Who sees the character in its sentence knows what to
change; a rate does not say.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kosum_pl.decode.literals import allowed_text, foreign_places
from kosum_pl.metrics.scripts import script_of
from kosum_pl.metrics.settings import ScoreSettings
from kosum_pl.metrics.tags import has_swapped_speakers
from kosum_pl.report.diff import Piece
from kosum_pl.report.plots import Figure, scatter_plot
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun, best_reference
from kosum_pl.types import TAG_PATTERN, Prediction

_NUM_RANKED: Final = 20
_CONTEXT: Final = 24


@dataclass(frozen=True, kw_only=True)
class ForeignText:
    """A final or raw text and the indices of its foreign characters."""

    prediction: Prediction
    text: str
    indices: tuple[int, ...]
    is_raw: bool

    def in_context(self) -> list[Piece]:
        """The foreign characters, each run of them marked, with some text around them."""
        pieces: list[Piece] = []
        end = 0
        for index in self.indices:
            if index < end:
                continue
            start = max(end, index - _CONTEXT)
            pieces.append(Piece("…" * (start > end) + self.text[start:index]))
            end = index
            while end in self.indices:
                end += 1
            code_points = " ".join(f"U+{ord(char):04X}" for char in self.text[index:end])
            pieces.append(Piece(self.text[index:end], True, f"{script_of(self.text[index])} {code_points}"))
            following = min((other for other in self.indices if other >= end), default=len(self.text))
            stop = min(end + _CONTEXT, following)
            pieces.append(Piece(self.text[end:stop]))
            end = stop
        return [*pieces, Piece("…" * (end < len(self.text)))]


def foreign_texts(predictions: Sequence[Prediction], settings: ScoreSettings) -> Iterator[ForeignText]:
    """Final texts with foreign characters, and raw ones where these differ from the final."""
    for prediction in predictions:
        for text in dict.fromkeys((prediction.text, prediction.raw_text)):
            # The dialogue, whose words are allowed too, is read only where it matters: that costs ten times the rest.
            if foreign_places(text, charset=settings.charset, literals=settings.literals):
                allowed = allowed_text(prediction.dialogue, charset=settings.charset, literals=settings.literals)
                indices = tuple(allowed.foreign_places(text))
                if indices:
                    is_raw = text != prediction.text
                    yield ForeignText(prediction=prediction, text=text, indices=indices, is_raw=is_raw)


@dataclass(frozen=True, kw_only=True)
class Contamination:
    """Scripts with the number of characters in raw and in final texts, and the texts."""

    num_rows: int
    scripts: Sequence[tuple[str, int, int]]
    texts: Sequence[ForeignText]


def contamination(scored: ScoredRun) -> Contamination | None:
    """Foreign characters by script, and each in its sentence."""
    if not scored.predictions:
        return None
    texts = list(foreign_texts(scored.predictions, scored.settings))
    raw, final, both = Counter[str](), Counter[str](), Counter[str]()
    for one in texts:
        # A raw text that was kept is the final one too.
        counters = [raw] * (one.text == one.prediction.raw_text) + [final] * (not one.is_raw)
        for counter in counters:
            for kept in (counter, both):
                kept.update(script_of(one.text[index]) for index in one.indices)
    scripts = [(script, raw[script], final[script]) for script, _ in both.most_common()]
    return Contamination(num_rows=len(scored.predictions), scripts=scripts, texts=texts)


@dataclass(frozen=True, kw_only=True)
class Tags:
    """How many rows have tags, and by kind of fault the rows with the tags at fault."""

    num_tagged: int
    faults: Mapping[str, Sequence[tuple[Prediction, set[str]]]]


def tags(scored: ScoredRun) -> Tags | None:
    """Rows that lose tags of their reference, add others, or name speakers in another order."""
    if not scored.has_rouge():
        return None
    faults: dict[str, list[tuple[Prediction, set[str]]]] = {
        kind: [] for kind in ("lost", "not in the reference", "in another order")
    }
    num_tagged = 0
    for prediction in scored.predictions:
        if not prediction.references:
            continue
        reference = prediction.references[0]
        wanted, got = (set(TAG_PATTERN.findall(text)) for text in (reference, prediction.text))
        num_tagged += bool(wanted or got)
        swapped = wanted & got if has_swapped_speakers(prediction.text, reference) else set()
        for rows, names in zip(faults.values(), (wanted - got, got - wanted, swapped), strict=True):
            if names:
                rows.append((prediction, names))
    return Tags(num_tagged=num_tagged, faults=faults)


def mark_tags(text: str, names: Collection[str]) -> list[Piece]:
    """A text with these tags marked."""
    # With its group, the pattern's matches stand at the odd indices.
    parts = re.split(f"({TAG_PATTERN.pattern})", text)
    return [Piece(part, part in names) for part in parts]


def best_and_worst(scored: ScoredRun) -> dict[str, list[tuple[float, Prediction, str]]]:
    """Rows with the lowest and the highest `rouge_sum`: the score, the row and its nearest reference."""
    order = scored.ranked()
    number = min(_NUM_RANKED, len(order) // 2 or 1)

    def entry(row: int) -> tuple[float, Prediction, str]:
        source = scored.predictions[row]
        return scored.values[MAIN_SCORE][row], source, best_reference(source, scored.settings)

    found = {"lowest": order[::-1][:number], "highest": order[:number]} if order else {}
    return {name: list(map(entry, rows)) for name, rows in found.items()}


def lengths(runs: Sequence[ScoredRun]) -> Figure | None:
    """Length of each prediction against that of its first reference, in characters."""
    groups = []
    for scored in runs:
        points = [(float(len(row.references[0])), float(len(row.text))) for row in scored.predictions if row.references]
        label = f"{scored.letter} rows" if len(runs) > 1 else f"{len(points):,} rows"
        groups.append((label, points, scored.color))
    return scatter_plot(groups, title="Characters of each summary", x_label="reference", y_label="prediction")
