"""The whole page: sections in order, with style sheet and script inside.

In: runs. Out: one HTML file that needs no network, and a Markdown summary beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from kosum_pl import __version__
from kosum_pl.files import write_atomically
from kosum_pl.metrics.row_scores import RowScores
from kosum_pl.report.curves import curves
from kosum_pl.report.data_sections import drift, slices
from kosum_pl.report.markdown import markdown
from kosum_pl.report.markup import Html, element, join
from kosum_pl.report.overview import differences, overview
from kosum_pl.report.row_table import predictions
from kosum_pl.report.run_files import Run, read_run
from kosum_pl.report.scored import Comparison, ScoredRun, compare_runs, score_run
from kosum_pl.report.section import Section
from kosum_pl.report.setup_sections import memory, samples, setup
from kosum_pl.report.text_sections import best_and_worst, contamination, lengths, tags

REPORT_FILE: Final = "report.html"
MARKDOWN_FILE: Final = "report.md"
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_RUNS: Final = len(_LETTERS)


def score_runs(runs: Sequence[Run], *, row_scores: RowScores | None = None) -> list[ScoredRun]:
    """Score runs, and give each its letter.

    Args:
        runs: At most `MAX_RUNS`.
        row_scores: Of the first run's rows, where an evaluation has just made them.
    """
    return [
        score_run(run, letter=letter, row_scores=row_scores if letter == "A" else None)
        for run, letter in zip(runs, _LETTERS, strict=False)
    ]


def html_page(runs: Sequence[ScoredRun], comparisons: Sequence[Comparison] = ()) -> str:
    """The page.

    Args:
        runs: The first is what is reported, the others are what it is held against.
        comparisons: Of the first run with each other one, in order.
    """
    sections = [overview(runs)]
    if len(runs) > 1:
        sections.append(differences(runs, comparisons))
    sections += [_built(builder, runs) for builder in _BUILDERS]
    shown = [section for section in sections if section.body]
    title = runs[0].run.name if len(runs) == 1 else f"Report of {len(runs)} runs"
    body = [
        element("header", element("h1", title), element("p", f"kosum_pl {__version__}", class_="note"), class_="top"),
        element("nav", *(element("a", one.title, href=f"#{one.id}") for one in shown), class_="toc"),
        element("main", *map(_markup, shown), *_left_out(sections)),
    ]
    text = join(
        [
            Html('<!doctype html>\n<html lang="en">'),
            element("head", *_head(title)),
            element("body", *body, element("script", Html(_asset("report.js")))),
            Html("</html>\n"),
        ]
    )
    return _SURROGATE.sub("\ufffd", text)


def write_report(
    runs: Sequence[Run], *, html_file: Path, markdown_file: Path, row_scores: RowScores | None = None
) -> None:
    """Write the page and the Markdown summary, each in one step.

    Args:
        runs: The first is what is reported.
        html_file: Where the page goes.
        markdown_file: Where the summary goes.
        row_scores: Of the first run's rows, where an evaluation has just made them.

    Raises:
        ValueError: A tokenizer that a run was scored with is not installed.
    """
    scored = score_runs(runs, row_scores=row_scores)
    comparisons = [compare_runs(scored[0], other) for other in scored[1:]]
    write_atomically(html_file, html_page(scored, comparisons))
    write_atomically(markdown_file, _SURROGATE.sub("\ufffd", markdown(scored, comparisons)))


def report_folder(folder: Path, *, row_scores: RowScores | None = None) -> Path:
    """Write the report of one run into its own folder.

    Args:
        folder: With the files of a finished command.
        row_scores: Of its rows, where an evaluation has just made them.

    Returns:
        The page.

    Raises:
        ValueError: The folder is no run.
    """
    path = folder / REPORT_FILE
    write_report([read_run(folder)], html_file=path, markdown_file=folder / MARKDOWN_FILE, row_scores=row_scores)
    return path


_BUILDERS: Final[tuple[Callable[[Sequence[ScoredRun]], Section], ...]] = (
    *(curves, slices, drift, contamination, tags, best_and_worst, lengths, samples, predictions, memory, setup),
)


def _built(builder: Callable[[Sequence[ScoredRun]], Section], runs: Sequence[ScoredRun]) -> Section:
    """A section; of a file with another content than ours, only that it could not be shown."""
    name = builder.__name__
    try:
        return builder(runs)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        reason = f"a file of it holds something unexpected ({type(error).__name__}: {error})"
        return Section(id=name, title=name.replace("_", " ").capitalize(), body=Html(""), missing=reason)


def _markup(section: Section) -> Html:
    return element("section", element("h2", section.title), section.body, id=section.id)


def _left_out(sections: Sequence[Section]) -> list[Html]:
    absent = [element("li", f"{one.title}: {one.missing}") for one in sections if not one.body and one.missing]
    return [element("section", element("h2", "Left out"), element("ul", *absent), id="left-out")] if absent else []


def _head(title: str) -> list[Html]:
    return [
        Html('<meta charset="utf-8">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} · report"),
        # An empty icon, so that no browser asks for one.
        element("link", rel="icon", href="data:,"),
        element("style", Html(_asset("report.css"))),
    ]


def _asset(name: str) -> str:
    return files("kosum_pl.report").joinpath(name).read_text(encoding="utf-8")
