"""What all sections of the page share: their form, and how numbers and tables look.

In: values. Out: markup. A section whose files are missing has no body and says in a word what was missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kosum_pl.report.markup import Child, Html, element
from kosum_pl.report.scored import ScoredRun


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        id: Of its heading, to link to.
        title: Its heading.
        body: Empty where there is nothing to show.
        missing: What it would need; said where the body is empty.
    """

    id: str
    title: str
    body: Html
    missing: str = ""


def score_text(name: str, value: float | None, *, sign: str = "") -> str:
    """A score as people read it: ROUGE to two places, counts of characters to one, rates to three.

    Example:
        >>> score_text("rouge_sum", 215.1647), score_text("tag_recall", 0.68884), score_text("rouge1", -1.0, sign="+")
        ('215.16', '0.689', '-1.00')
    """
    if value is None:
        return ""
    if name.startswith(("rouge", "bleu", "chrf")):
        return f"{value:{sign}.2f}"
    return f"{value:{sign}.1f}" if name == "mean_length" else f"{value:{sign}.3f}"


def table(head: Sequence[Child], lines: Sequence[Sequence[Child]], *, num_text: int = 1) -> Html:
    """A table that scrolls sideways in itself where the window is narrow.

    Args:
        head: Headings.
        lines: Cells of each line.
        num_text: How many columns on the left hold text; those right of them hold numbers.
    """
    headings = [_cell("th", place, num_text, child, scope="col") for place, child in enumerate(head)]
    body = [element("tr", *(_cell("td", place, num_text, child) for place, child in enumerate(line))) for line in lines]
    inner = element("table", element("thead", element("tr", *headings)), element("tbody", *body))
    return element("div", inner, class_="scroll", tabindex=0)


def run_name(scored: ScoredRun, *, num_runs: int) -> Html:
    """A run's letter in its colour; its name where it stands alone."""
    if num_runs == 1:
        return element("span", scored.run.name)
    return element("b", scored.letter, class_=f"run c{color_of(scored)}")


def color_of(scored: ScoredRun) -> int:
    """Number of a run's colour, the same in all plots."""
    return (ord(scored.letter[0]) - ord("A")) % 6


def folded(summary: Child, *children: Child, is_open: bool = False) -> Html:
    """Something that opens on a click."""
    return element("details", element("summary", summary), *children, open=is_open)


def row_link(example_id: str) -> Html:
    """A row's id, which leads to the row in the table of predictions."""
    return element("a", example_id, href="#predictions", class_="id", data_find=example_id)


def per_run(runs: Sequence[ScoredRun], bodies: Sequence[Html]) -> Html:
    """What is shown of each run, one under the other, each under its name where there are several."""
    parts: list[Html] = []
    for scored, body in zip(runs, bodies, strict=True):
        if body and len(runs) > 1:
            parts.append(element("h3", run_name(scored, num_runs=len(runs)), " ", scored.run.name))
        parts.append(body)
    return Html("".join(parts))


def _cell(name: str, place: int, num_text: int, child: Child, *, scope: str | None = None) -> Html:
    return element(name, child, class_=None if place < num_text else "number", scope=scope)
