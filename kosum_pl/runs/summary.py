"""What a run shows at its end: a table of scores, some dialogues with their summaries, and where everything lies.

In: scores and predictions. Out: lines on the terminal. Numbers mean little alone, so the untrained model and the
lead-1 baseline stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kosum_pl.errors import one_line
from kosum_pl.metrics import get_tokenizer, score_rows
from kosum_pl.metrics.score_table import SliceScore
from kosum_pl.runs.predictions import UNFINISHED_MARK, submitted_summary
from kosum_pl.runs.screen import Screen
from kosum_pl.runs.slice_table import slice_table
from kosum_pl.terminal import escaped
from kosum_pl.types import Prediction

NUM_SHOWN: Final = 5
_CHANGED: Final = "changed_rows/"
_COUNTS: Final = ("num_rows", "regenerated_rows")
_MAX_TURNS: Final = 6
_MAX_CHARACTERS: Final = 400


def lead_scores(
    predictions: Sequence[Prediction], *, rouge_tokenizer: str, multi_reference: Literal["mean", "max"]
) -> dict[str, float]:
    """ROUGE of the lead-1 baseline on the rows of predictions, by bare name; empty without references."""
    scored = [prediction for prediction in predictions if prediction.references]
    if not scored:
        return {}
    rows = score_rows(
        [submitted_summary(replace(prediction, text="")) for prediction in scored],
        [prediction.references for prediction in scored],
        tokenizer=get_tokenizer(rouge_tokenizer),
        multi_reference=multi_reference,
    )
    each = [100 * float(value) for value in rows.mean(axis=0)]
    names = ("rouge1", "rouge2", "rougeL", "rouge_sum", "rouge_mean")
    return dict(zip(names, [*each, sum(each), sum(each) / 3], strict=True))


def score_table(columns: Mapping[str, Mapping[str, float]]) -> Table:
    """Scores by name, one column for each title; the last column's names are the rows."""
    table = Table(title="scores", title_justify="left")
    table.add_column("metric")
    for title in columns:
        table.add_column(title, justify="right")
    for name in list(columns.values())[-1]:
        if "=" not in name and not name.startswith(_CHANGED):
            table.add_row(name, *(_cell(name, scores) for scores in columns.values()))
    return table


def changes_line(scores: Mapping[str, float]) -> str:
    """How many rows each step of post-processing changed; empty where there are no steps.

    Example:
        >>> changes_line({"changed_rows/nfc": 0.0, "changed_rows/script_filter": 80.0, "rouge_sum": 217.1})
        'rows changed by post-processing: nfc 0, script_filter 80'
    """
    steps = [
        f"{name.removeprefix(_CHANGED)} {value:,.0f}" for name, value in scores.items() if name.startswith(_CHANGED)
    ]
    return f"rows changed by post-processing: {', '.join(steps)}" if steps else ""


def _cell(name: str, scores: Mapping[str, float]) -> str:
    """A score as people read it: counts whole, rates to three places, all else to two."""
    if name not in scores:
        return ""
    value = scores[name]
    if name.startswith(_COUNTS):
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def shown_rows(predictions: Sequence[Prediction], number: int = NUM_SHOWN) -> list[Prediction]:
    """A few rows, evenly spread over the input, so that the same run shows the same rows."""
    number = min(number, len(predictions))
    return [predictions[index * len(predictions) // number] for index in range(number)]


def dialogue_panel(prediction: Prediction) -> Panel:
    """One dialogue with its first reference and what the model made of it, marked where that has no end."""
    parts = [Text(shorten(prediction.dialogue))]
    if prediction.references:
        parts.append(Text.assemble(("reference: ", "bold"), shorten(one_line(prediction.references[0]))))
    mark = "" if prediction.reached_eos else f" {UNFINISHED_MARK}"
    parts.append(Text.assemble(("generated: ", "bold"), shorten(one_line(prediction.text)) or "(empty)", mark))
    title = Text(escaped(f"{prediction.example_id}, preset {prediction.preset}"))
    return Panel(Group(*parts), title=title, title_align="left")


def shorten(text: str) -> str:
    r"""The first turns of a long text, with what is left out counted.

    Example:
        >>> print(shorten("\n".join("가나다라마바사아")))
        가
        나
        다
        라
        마
        바
        … (2 more lines)
    """
    lines = text.splitlines()
    kept = "\n".join(lines[:_MAX_TURNS])
    if len(kept) > _MAX_CHARACTERS:
        return kept[:_MAX_CHARACTERS].rstrip() + " …"
    left_out = len(lines) - _MAX_TURNS
    return f"{kept}\n… ({left_out} more lines)" if left_out > 0 else kept


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The end of a run.

    Attributes:
        columns: For `score_table`; a column without scores is not shown.
        predictions: Of which `NUM_SHOWN` are shown.
        lines: Closing lines, printed unbroken so that paths can be copied.
        slices: For `slice_table`.
    """

    columns: Mapping[str, Mapping[str, float]]
    predictions: Sequence[Prediction]
    lines: Sequence[str]
    slices: Sequence[SliceScore] = ()

    def print(self, console: Console | None = None) -> None:
        """Print it, to standard output unless another console is given."""
        console = console or Screen()
        filled = {title: scores for title, scores in self.columns.items() if scores}
        if filled:
            console.print(score_table(filled))
            slices = slice_table(self.slices)
            if slices is not None:
                console.print(slices)
            if changes := changes_line(list(filled.values())[-1]):
                console.print(Text(changes), soft_wrap=True)
        for prediction in shown_rows(self.predictions):
            console.print(dialogue_panel(prediction))
        for line in self.lines:
            console.print(Text(escaped(line)), soft_wrap=True)
