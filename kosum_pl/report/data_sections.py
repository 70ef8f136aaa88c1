"""Slices of the evaluated rows, and how these rows differ from those of train.

In: `slices.csv` and `drift.json`, as read. Out: sections. A mean hides that Saturdays are bad, and drift says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kosum_pl.report.markup import Child, Html, element, join
from kosum_pl.report.plots import interval_bar
from kosum_pl.report.scales import Scale
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun
from kosum_pl.report.section import Section, color_of, folded, per_run, run_name, score_text, table

_WHOLE: Final = "all"
_BESIDE: Final = ("contamination_rate", "tag_recall", "slot_recall", "length_ratio")
_BAR_WIDTH: Final = 150
SliceLines = dict[str, dict[str, Mapping[str, str]]]


def slice_lines(scored: ScoredRun) -> SliceLines:
    """Lines of `slices.csv` by slice and score; those that are not complete are left out."""
    found: SliceLines = {}
    for line in scored.run.slices:
        if line.get("slice") and line.get("score") and _float(line.get("value")) is not None:
            found.setdefault(line["slice"], {})[line["score"]] = line
    return found


def slices(runs: Sequence[ScoredRun]) -> Section:
    """Scores by slice: with intervals for one run, side by side for several."""
    found = [slice_lines(scored) for scored in runs]
    missing = "no slices.csv"
    if not any(len(lines) > 1 for lines in found):
        return Section(id="slices", title="Slices", body=Html(""), missing=missing)
    body = _slices_of_one(runs[0], found[0]) if len(runs) == 1 else _slices_of_all(runs, found)
    return Section(id="slices", title="Slices", body=body, missing=missing)


def _slices_of_one(scored: ScoredRun, found: SliceLines) -> Html:
    main = {name: lines[MAIN_SCORE] for name, lines in found.items() if MAIN_SCORE in lines}
    ends = [_float(line.get(key)) for line in main.values() for key in ("low", "high", "value")]
    known = [end for end in ends if end is not None]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    scale = Scale(low=low, high=high if high > low else low + 1, start=6, end=_BAR_WIDTH)
    beside = [name for name in _BESIDE if any(name in lines for lines in found.values())]
    rows = []
    for name, lines in found.items():
        any_line = next(iter(lines.values()))
        cells: list[Child] = [element("b", name) if name == _WHOLE else name]
        cells.append(_bar(main.get(name), scale, color=color_of(scored)))
        cells += [any_line.get("num_rows", ""), *_value_cells(main.get(name), is_whole=name == _WHOLE)]
        cells += [score_text(other, _value(lines.get(other))) for other in beside]
        rows.append(cells)
    head = ["slice", "", "rows", MAIN_SCORE, "95 % interval", "from all", *beside]
    note = "Bold differences: the slice's interval leaves the score of all rows out."
    return join([table(head, rows, num_text=2), element("p", note, class_="note")])


def _bar(line: Mapping[str, str] | None, scale: Scale, *, color: int) -> Html:
    value, low, high = (_float((line or {}).get(key)) for key in ("value", "low", "high"))
    if value is None:
        return Html("")
    return interval_bar(value, value if low is None else low, value if high is None else high, scale=scale, color=color)


def _value_cells(line: Mapping[str, str] | None, *, is_whole: bool) -> list[Child]:
    if line is None:
        return ["", "", ""]
    value, low, high, difference = (_float(line.get(key)) for key in ("value", "low", "high", "difference"))
    interval = "" if low is None or high is None else f"[{low:.1f}, {high:.1f}]"
    shown: Child = "" if is_whole or difference is None else f"{difference:+.1f}"
    if shown and value is not None and difference is not None and low is not None and high is not None:
        whole = value - difference
        shown = element("b", shown) if not low <= whole <= high else shown
    return [score_text(MAIN_SCORE, value), interval, shown]


def _slices_of_all(runs: Sequence[ScoredRun], found: Sequence[SliceLines]) -> Html:
    names = dict.fromkeys(name for lines in found for name in lines)
    rows = []
    for name in names:
        lines = [of_run.get(name, {}).get(MAIN_SCORE) for of_run in found]
        counts = [line["num_rows"] for line in lines if line]
        cells = [
            [score_text(MAIN_SCORE, _value(line)), element("small", _value_cells(line, is_whole=True)[1])]
            for line in lines
        ]
        rows.append([element("b", name) if name == _WHOLE else name, counts[0] if counts else "", *cells])
    head = ["slice", "rows", *([run_name(scored, num_runs=len(runs)), f" {MAIN_SCORE}"] for scored in runs)]
    return table(head, rows)


def drift(runs: Sequence[ScoredRun]) -> Section:
    """Train against the other splits, in words and in numbers."""
    bodies = [join([_split(split) for split in scored.run.drift.get("splits") or ()]) for scored in runs]
    body = bodies[0] if len(set(bodies)) == 1 else per_run(runs, bodies)
    return Section(id="drift", title="Drift of the data", body=body, missing="no drift.json")


def _split(split: Mapping[str, Any]) -> Html:
    words = [element("li", str(word)) for word in split.get("words") or ()]
    sizes = f"{split.get('num_train', 0):,} rows of train, {split.get('num_other', 0):,} of {split.get('name')}"
    lines = []
    for feature in split.get("features") or ():
        distance = feature.get("distance") or {}
        name = str(feature.get("name"))
        spreads = feature.get("spreads") or ()
        medians = " → ".join(f"{spread['median']:.4g}" for spread in spreads)
        numbers = [distance.get(key) for key in ("js", "psi", "expected_psi", "p_value")]
        cells = ["" if number is None else f"{number:.3f}" for number in numbers]
        lines.append([element("b", name) if feature.get("is_real") else name, medians, *cells])
    head = ["what", "medians", "JS distance", "PSI", "PSI by chance", "p"]
    return join(
        [
            element("h3", f"train against {split.get('name')}"),
            element("p", sizes, class_="note"),
            element("ul", *words),
            folded("all comparisons", table(head, lines)) if lines else None,
        ]
    )


def _value(line: Mapping[str, str] | None) -> float | None:
    return None if line is None else _float(line.get("value"))


def _float(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if value == value else None
