"""What is in the summaries: foreign characters, lost and swapped tags, the best and worst rows, lengths.

In: scored runs. Out: sections that show the places themselves. Who sees the character in its sentence knows what to
change; a rate does not say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kosum_pl.decode.licence import row_licence
from kosum_pl.decode.literals import foreign_places
from kosum_pl.metrics.scripts import script_of
from kosum_pl.metrics.summary_scores import ScoreSettings
from kosum_pl.metrics.tags import has_swapped_speakers
from kosum_pl.report.diff import diff_words, marked_text
from kosum_pl.report.markup import Child, Html, element, join
from kosum_pl.report.plots import scatter_plot
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun, best_reference
from kosum_pl.report.section import Section, color_of, folded, per_run, row_link, table
from kosum_pl.types import TAG_PATTERN, Prediction

_NO_ROWS: Final = "no predictions.jsonl"
_NO_REFERENCES: Final = "no predictions.jsonl with references"
_MAX_SHOWN: Final = 50
_NUM_RANKED: Final = 20
_CONTEXT: Final = 24


@dataclass(frozen=True, kw_only=True)
class ForeignText:
    """A text with the places of its foreign characters."""

    prediction: Prediction
    text: str
    places: tuple[int, ...]
    is_raw: bool


def foreign_texts(predictions: Sequence[Prediction], settings: ScoreSettings) -> Iterator[ForeignText]:
    """Final texts with foreign characters, and raw ones where these differ from the final.

    Args:
        predictions: Rows.
        settings: What counts as foreign.
    """
    for prediction in predictions:
        texts = dict.fromkeys((prediction.text, prediction.raw_text))
        for text in texts:
            # The dialogue is read only for a text that needs its licence: that costs ten times the rest.
            if foreign_places(text, charset=settings.charset, literals=settings.literals):
                licence = row_licence(prediction.dialogue, charset=settings.charset, literals=settings.literals)
                places = tuple(licence.foreign_places(text))
                if places:
                    yield ForeignText(prediction=prediction, text=text, places=places, is_raw=text != prediction.text)


def contamination(runs: Sequence[ScoredRun]) -> Section:
    """Foreign characters by script, and each in its sentence."""
    bodies = [_contamination_of(scored) if scored.predictions else Html("") for scored in runs]
    return Section(id="contamination", title="Contamination", body=per_run(runs, bodies), missing=_NO_ROWS)


def _contamination_of(scored: ScoredRun) -> Html:
    found = list(foreign_texts(scored.predictions, scored.settings))
    if not found:
        return element(
            "p", f"No foreign character in {len(scored.predictions):,} summaries, nor in what the model said."
        )
    counts: dict[str, Counter[bool]] = {}
    for one in found:
        # A raw text that was kept is the final one too.
        kinds = [one.is_raw] if one.text != one.prediction.raw_text or one.is_raw else [False, True]
        for place in one.places:
            counts.setdefault(script_of(one.text[place]), Counter()).update(kinds)
    lines: list[list[Child]] = [
        [script, f"{count[True]:,}", f"{count[False]:,}"]
        for script, count in sorted(counts.items(), key=lambda entry: -sum(entry[1].values()))
    ]
    shown = [
        element(
            "li",
            row_link(one.prediction.example_id),
            element("small", " raw " if one.is_raw else " final "),
            in_context(one),
        )
        for one in found[:_MAX_SHOWN]
    ]
    parts = [table(["script", "characters the model said", "in the final text"], lines)]
    parts.append(
        folded(f"{len(found):,} texts with such characters", element("ul", *shown, class_="texts"), _more(found))
    )
    return join(parts)


def in_context(one: ForeignText) -> Html:
    """The foreign characters of a text, each marked, with some text around them."""
    parts: list[Child] = []
    end = 0
    places = set(one.places)
    for place in one.places:
        if place < end:
            continue
        start = max(end, place - _CONTEXT)
        parts.append("…" if start > end else "")
        parts.append(one.text[start:place])
        end = place
        while end in places:
            end += 1
        code_points = " ".join(f"U+{ord(char):04X}" for char in one.text[place:end])
        parts.append(element("mark", one.text[place:end], title=f"{script_of(one.text[place])} {code_points}"))
        following = min((other for other in one.places if other >= end), default=len(one.text))
        stop = min(end + _CONTEXT, following)
        parts.append(one.text[end:stop])
        end = stop
    parts.append("…" if end < len(one.text) else "")
    return join(parts)


def tags(runs: Sequence[ScoredRun]) -> Section:
    """Rows that lose tags of their reference, add others, or name speakers in another order."""
    bodies = [_tags_of(scored) if scored.has_rouge() else Html("") for scored in runs]
    return Section(id="tags", title="Tags", body=per_run(runs, bodies), missing=_NO_REFERENCES)


def _tags_of(scored: ScoredRun) -> Html:
    kinds: dict[str, list[Html]] = {"lost": [], "not in the reference": [], "in another order": []}
    num_tagged = 0
    for prediction in scored.predictions:
        if not prediction.references:
            continue
        reference = prediction.references[0]
        wanted, got = (set(TAG_PATTERN.findall(text)) for text in (reference, prediction.text))
        num_tagged += bool(wanted or got)
        found = {
            "lost": wanted - got,
            "not in the reference": got - wanted,
            "in another order": wanted & got if has_swapped_speakers(prediction.text, reference) else set(),
        }
        for kind, names in found.items():
            if names:
                kinds[kind].append(_tag_row(prediction, reference, names))
    parts: list[Child] = [
        element("p", f"{num_tagged:,} rows have tags in the summary or in its reference.", class_="note")
    ]
    for kind, rows in kinds.items():
        title = f"{len(rows):,} rows with tags {kind}"
        parts.append(
            folded(title, element("ul", *rows[:_MAX_SHOWN], class_="texts"), _more(rows))
            if rows
            else element("p", title)
        )
    return join(parts)


def _tag_row(prediction: Prediction, reference: str, names: set[str]) -> Html:
    head = [row_link(prediction.example_id), " ", element("small", ", ".join(sorted(names)))]
    texts = [
        element("div", _marked_tags(text, names), class_=css)
        for css, text in (("prediction", prediction.text), ("reference", reference))
    ]
    return element("li", *head, *texts)


def _marked_tags(text: str, names: set[str]) -> Html:
    parts: list[Child] = []
    end = 0
    for match in TAG_PATTERN.finditer(text):
        parts += [text[end : match.start()], element("mark", match[0]) if match[0] in names else match[0]]
        end = match.end()
    return join([*parts, text[end:]])


def best_and_worst(runs: Sequence[ScoredRun]) -> Section:
    """Rows with the highest and the lowest `rouge_sum`, each held against its nearest reference word by word."""
    bodies = [_ranked(scored) if scored.has_rouge() else Html("") for scored in runs]
    return Section(id="best-and-worst", title="Best and worst rows", body=per_run(runs, bodies), missing=_NO_REFERENCES)


def _ranked(scored: ScoredRun) -> Html:
    order = scored.ranked()
    number = min(_NUM_RANKED, len(order) // 2 or 1)
    worst, best = order[::-1][:number], order[:number]
    legend = element(
        "p", element("ins", "not in the reference"), " ", element("del", "missing from the prediction"), class_="note"
    )
    return join(
        [
            legend,
            folded(f"the {len(worst)} lowest", [_ranked_row(scored, row) for row in worst], is_open=True),
            folded(f"the {len(best)} highest", [_ranked_row(scored, row) for row in best]),
        ]
    )


def _ranked_row(scored: ScoredRun, row: int) -> Html:
    prediction = scored.predictions[row]
    said, wanted = diff_words(prediction.text, best_reference(prediction, scored.settings))
    return element(
        "article",
        element("header", row_link(prediction.example_id), " ", element("b", f"{scored.values[MAIN_SCORE][row]:.1f}")),
        element("div", marked_text(said, name="ins") or element("i", "(empty)"), class_="prediction"),
        element("div", marked_text(wanted, name="del"), class_="reference"),
        folded("dialogue", element("div", prediction.dialogue, class_="dialogue")),
    )


def lengths(runs: Sequence[ScoredRun]) -> Section:
    """Length of each prediction against that of its first reference, in characters."""
    groups = []
    for scored in runs:
        points = [(float(len(row.references[0])), float(len(row.text))) for row in scored.predictions if row.references]
        label = f"{scored.letter} rows" if len(runs) > 1 else f"{len(points):,} rows"
        groups.append((label, points, color_of(scored)))
    figure = scatter_plot(groups, title="Characters of each summary", x_label="reference", y_label="prediction")
    body = element("div", figure, class_="figures") if figure else Html("")
    return Section(id="lengths", title="Lengths", body=body, missing=_NO_REFERENCES)


def _more(rows: Sequence[object]) -> Html | None:
    left = len(rows) - _MAX_SHOWN
    return element("p", f"… and {left:,} more.", class_="note") if left > 0 else None
