"""The whole page: sections in order, with style sheet and script inside.

In: runs. Out: one HTML file that needs no network, and a Markdown summary beside it. Texts of a data set reach the page
through templates that escape them, and through one block of JSON that none of them can end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from jinja2 import UndefinedError
from markupsafe import Markup

from kosum_pl import __version__
from kosum_pl.decode.reachability.report import Reachability
from kosum_pl.files import write_atomically
from kosum_pl.metrics.score_table import ScoreTable
from kosum_pl.report.config_diff import config_differences
from kosum_pl.report.redact import redacted
from kosum_pl.report.render import render
from kosum_pl.report.row_table import row_data
from kosum_pl.report.scored import Comparison, ScoredRun, compare_runs, score_run
from kosum_pl.report.slices import slices, weakest
from kosum_pl.report.texts import best_and_worst, contamination, lengths, tags
from kosum_pl.report.training import curves, memory, samples
from kosum_pl.runs.run import Run, open_run

REPORT_FILE: Final = "report.html"
MARKDOWN_FILE: Final = "report.md"
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_RUNS: Final = len(_LETTERS)
_View = TypeVar("_View")


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        id: To link to; the section's template is `<id>.html.j2`. Where that shows nothing, the section is left out.
        missing: What it would need, for the list of what was left out.
        view: What its template gets beside the runs.
    """

    id: str
    title: str
    missing: str
    view: Callable[[Sequence[ScoredRun]], Any] | None = None


def score_runs(runs: Sequence[Run], *, table: ScoreTable | None = None) -> list[ScoredRun]:
    """Score at most `MAX_RUNS` runs, and give each its letter; `table` is of the first run's rows, if made already."""
    return [
        score_run(run, letter=letter, table=table if letter == "A" else None)
        for run, letter in zip(runs, _LETTERS, strict=False)
    ]


def html_page(runs: Sequence[ScoredRun], comparisons: Sequence[Comparison] = ()) -> str:
    """The page of the first run, compared with the others: `comparisons` are with each of these, in order."""
    against = _differences(runs, comparisons)
    shown, left_out = [], []
    for section in SECTIONS:
        try:
            view = section.view(runs) if section.view else None
            body = render(f"{section.id}.html.j2", runs=runs, view=view, against=against)
            if body.strip():
                shown.append((section, Markup(body)))
            elif section.missing:
                left_out.append(f"{section.title}: {section.missing}")
        # Whoever edits a file of a run shall lose a section, not the page.
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, UndefinedError) as error:
            name = section.id.replace("-", " ").capitalize()
            left_out.append(f"{name}: a file of it holds something unexpected ({type(error).__name__}: {error})")
    title = runs[0].run.name if len(runs) == 1 else f"Report of {len(runs)} runs"
    assets = {kind: Markup(files(__package__).joinpath(f"report.{kind}").read_text("utf-8")) for kind in ("css", "js")}
    return render("page.html.j2", title=title, version=__version__, sections=shown, left_out=left_out, **assets)


def markdown(runs: Sequence[ScoredRun], comparisons: Sequence[Comparison] = ()) -> str:
    """A short summary in Markdown, for a pull request, of the same runs."""
    against = _differences(runs, comparisons)
    return render("summary.md.j2", first=runs[0], against=against, weakest=weakest(runs[0])).rstrip() + "\n"


def write_report(
    runs: Sequence[Run],
    *,
    html_file: Path,
    markdown_file: Path,
    table: ScoreTable | None = None,
    is_redacted: bool = False,
) -> None:
    """Write the page and the Markdown summary, each in one step; the first run is what is reported.

    Where it `is_redacted`, personal numbers in all texts are tags; scores are those of the texts as they were.
    """
    scored = score_runs(runs, table=table)
    comparisons = [compare_runs(scored[0], other) for other in scored[1:]]
    scored = [redacted(one) for one in scored] if is_redacted else scored
    write_atomically(html_file, html_page(scored, comparisons))
    write_atomically(markdown_file, markdown(scored, comparisons))


def report_folder(folder: Path, *, table: ScoreTable | None = None) -> Path:
    """Write the report of one run into its own folder, and return the page's path.

    Raises:
        ValueError: The folder is no run.
    """
    path = folder / REPORT_FILE
    write_report([open_run(folder)], html_file=path, markdown_file=folder / MARKDOWN_FILE, table=table)
    return path


def per_run(view: Callable[[ScoredRun], _View]) -> Callable[[Sequence[ScoredRun]], list[tuple[ScoredRun, _View]]]:
    """From what is shown of a run to what is shown of several: each that has anything, with its view."""
    return lambda runs: [(scored, of_run) for scored in runs if (of_run := view(scored))]


def drift(runs: Sequence[ScoredRun]) -> Sequence[tuple[ScoredRun | None, Any]]:
    """Train against the other splits; once where all runs saw the same data."""
    found = per_run(lambda scored: scored.run.drift.get("splits"))(runs)
    is_same = len(found) == len(runs) and all(splits == found[0][1] for _, splits in found)
    return [(None, found[0][1])] if is_same else found


def reachability(scored: ScoredRun) -> dict[str, Reachability]:
    """How many references the run could generate, by split."""
    return {split: Reachability.from_values(values) for split, values in scored.run.record.reachability.items()}


def _differences(
    runs: Sequence[ScoredRun], comparisons: Sequence[Comparison]
) -> list[tuple[ScoredRun, Comparison, list[tuple[str, str, str]]]]:
    """The first run against each other one: on the rows of both, and in the settings that differ."""
    return [
        (other, found, config_differences(runs[0].run.config, other.run.config))
        for other, found in zip(runs[1:], comparisons, strict=True)
    ]


_ROWS: Final = "no predictions.jsonl"
_REFERENCES: Final = "no predictions.jsonl with references"
_SAMPLES: Final = "no samples.jsonl, which the callback SampleTable writes"
_MEMORY: Final = "no plan.json (plan --json RUN/plan.json) and no train/memory_peak_gb in metrics.csv"
SECTIONS: Final[tuple[Section, ...]] = (
    Section("scores", "Scores", "neither metrics.json nor predictions.jsonl holds scores"),
    Section("differences", "Differences", ""),
    Section("curves", "Training", "no fit: only that writes metrics.jsonl", curves),
    Section(
        "reachability", "What can be said", "no reachability in run.json: only fit measures it", per_run(reachability)
    ),
    Section("slices", "Slices", "no slices.csv", slices),
    Section("drift", "Drift of the data", "no drift.json", drift),
    Section("contamination", "Contamination", _ROWS, per_run(contamination)),
    Section("tags", "Tags", _REFERENCES, per_run(tags)),
    Section("best-and-worst", "Best and worst rows", _REFERENCES, per_run(best_and_worst)),
    Section("lengths", "Lengths", _REFERENCES, lengths),
    Section("samples", "Summaries over training", _SAMPLES, per_run(samples)),
    Section("predictions", "All predictions", _ROWS, row_data),
    Section("memory", "Memory", _MEMORY, per_run(memory)),
    Section("setup", "Config and versions", "no config.yaml and no constraints.txt"),
)
