"""A short summary in Markdown, for a pull request.

In: scored runs. Out: scores with intervals, the difference to each other run, the weakest slices, contamination.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kosum_pl.report.data_sections import slice_lines
from kosum_pl.report.scored import MAIN_SCORE, Comparison, ScoredRun
from kosum_pl.report.section import score_text

_SHOWN: Final = (
    *(MAIN_SCORE, "rouge1", "rouge2", "rougeL", "tag_recall", "slot_recall", "length_ratio", "eos_rate"),
    *("bleu", "chrf", "bertscore_f1", "similarity"),
    *("contamination_rate", "raw_contamination_rate"),
)
_NUM_SLICES: Final = 3


def markdown(runs: Sequence[ScoredRun], comparisons: Sequence[Comparison] = ()) -> str:
    """The summary.

    Args:
        runs: The first is what is reported.
        comparisons: Of the first run with each other one, in order.
    """
    first = runs[0]
    lines = [f"### {_escaped(first.run.name)}", ""]
    facts = [("rows", first.run.metrics.get("num_rows")), ("preset", first.run.metrics.get("preset"))]
    facts += [("ROUGE by", first.run.metrics.get("rouge_tokenizer"))]
    lines += [", ".join(f"{name} {_escaped(str(value))}" for name, value in facts if value), ""]
    lines += _score_lines(first)
    for other, found in zip(runs[1:], comparisons, strict=True):
        lines += _difference_lines(first, other, found)
    lines += _slice_lines(first)
    lines += [f"{_escaped(note)}." for note in first.notes]
    return "\n".join(lines).rstrip() + "\n"


def _score_lines(scored: ScoredRun) -> list[str]:
    start, lead = (scored.run.scores(prefix) for prefix in ("start", "lead"))
    lines = ["| score | value | 95 % interval | start | lead-1 |", "| --- | ---: | --- | ---: | ---: |"]
    for name in _SHOWN:
        if name in scored.scores:
            ends = scored.intervals.get(name)
            interval = f"{score_text(name, ends[0])} to {score_text(name, ends[1])}" if ends else ""
            cells = [name, score_text(name, scored.scores[name]), interval]
            cells += [score_text(name, start.get(name)), score_text(name, lead.get(name))]
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""] if len(lines) > 2 else ["No scores.", ""]


def _difference_lines(first: ScoredRun, other: ScoredRun, found: Comparison) -> list[str]:
    lines = [f"#### Against {_escaped(other.run.name)}, {found.num_rows:,} rows in common", ""]
    if not found.differences:
        return [*lines, "Nothing to compare.", ""]
    lines += ["| score | difference | 95 % interval | p |", "| --- | ---: | --- | ---: |"]
    for name, difference in found.differences.items():
        mean, low, high = (
            score_text(name, value, sign="+")
            for value in (difference.interval.mean, difference.interval.low, difference.interval.high)
        )
        mean = f"**{mean}**" if difference.is_distinguishable else mean
        lines.append(f"| {name} | {mean} | {low} to {high} | {difference.p_value:.3f} |")
    return [*lines, "", "Bold: the interval leaves 0 out.", ""]


def _slice_lines(scored: ScoredRun) -> list[str]:
    values = []
    for name, lines in slice_lines(scored).items():
        line = lines.get(MAIN_SCORE)
        if line is not None and name != "all":
            values.append((float(line["value"]), name, line.get("num_rows", "")))
    if not values:
        return []
    worst = sorted(values)[:_NUM_SLICES]
    return [
        f"Weakest slices by {MAIN_SCORE}: "
        + ", ".join(f"{_escaped(name)} {value:.1f} ({num_rows} rows)" for value, name, num_rows in worst)
        + ".",
        "",
    ]


def _escaped(text: str) -> str:
    r"""A text that no cell of a table and no markup is ended or begun by.

    Example:
        >>> print(_escaped("a|b <i> *c*"))
        a\|b &lt;i&gt; \*c\*
    """
    for char in "\\|*_`[]":
        text = text.replace(char, f"\\{char}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())
