"""The head of the page: what was run, its scores with intervals, and how several runs differ.

In: scored runs. Out: sections. A number alone says little, so the untrained model, the lead-1 baseline and the interval
over other rows of the same kind stand beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from kosum_pl.report.config_diff import config_differences
from kosum_pl.report.markup import Child, Html, element, join
from kosum_pl.report.scored import MAIN_SCORE, Comparison, ScoredRun
from kosum_pl.report.section import Section, color_of, run_name, score_text, table

# Name, and what it is.
SCORES: Final = {
    "rouge_sum": "ROUGE-1 + 2 + L, F1, 0–300",
    "rouge1": "single tokens, F1",
    "rouge2": "pairs of tokens, F1",
    "rougeL": "longest common sequence, F1",
    "contamination_rate": "rows with a foreign character",
    "raw_contamination_rate": "the same, before post-processing",
    "tag_recall": "tags of the reference found",
    "tag_precision": "tags that the reference has too",
    "swapped_speakers": "speakers in another order",
    "slot_recall": "names, times, amounts found",
    "length_ratio": "characters over the reference's",
    "eos_rate": "ended by themselves",
    "hangul_ratio": "Hangul among letters",
    "broken_rate": "rows with broken characters",
    "bleu": "0–100",
    "chrf": "characters, 0–100",
    "bertscore_f1": "nearness of tokens",
    "similarity": "nearness of sentences",
    "loss": "cross-entropy a token",
}
_CARDS: Final = (
    *("rouge_sum", "rouge1", "rouge2", "rougeL", "contamination_rate", "raw_contamination_rate", "tag_recall"),
    *("slot_recall", "length_ratio", "eos_rate", "bleu", "chrf", "bertscore_f1", "similarity", "loss"),
)
_FACTS: Final = (
    *("stage", "preset", "constraint", "num_rows", "slice", "best_step", "rouge_tokenizer", "multi_reference"),
    *("contamination_charset",),
)


def overview(runs: Sequence[ScoredRun]) -> Section:
    """Cards of one run, or a card a run and a table of all scores."""
    cards = [_card(runs[0], name) for name in _CARDS if name in runs[0].scores]
    if len(runs) > 1:
        cards = [_run_card(scored) for scored in runs]
    body: list[Html] = [element("p", _facts(runs[0]), class_="facts")] if len(runs) == 1 else []
    if cards:
        body.append(element("div", *cards, class_="cards"))
        body.append(
            element("p", "In brackets: 95 % bootstrap interval over rows, from 2,000 resamples.", class_="note")
        )
    if len(runs) > 1:
        body.append(_score_table(runs))
    for scored in runs:
        letter = f"{scored.letter}: " if len(runs) > 1 else ""
        body += [element("p", letter + note, class_="warning") for note in scored.notes]
    missing = "neither metrics.json nor predictions.jsonl holds scores"
    return Section(id="scores", title="Scores", body=join(body) if cards else Html(""), missing=missing)


def differences(runs: Sequence[ScoredRun], comparisons: Sequence[Comparison]) -> Section:
    """The first run against each other one, on the rows that both have."""
    parts: list[Html] = []
    for other, found in zip(runs[1:], comparisons, strict=True):
        title = [run_name(runs[0], num_runs=2), " against ", run_name(other, num_runs=2)]
        parts.append(element("h3", *title, f": {found.num_rows:,} rows in common"))
        if found.num_other:
            parts.append(
                element("p", f"{found.num_other:,} further rows have other references: not compared.", class_="warning")
            )
        if found.differences:
            parts.append(_difference_table(runs[0], other, found))
        parts.append(_config_table(runs[0], other))
    note = "Paired bootstrap: the same resampled rows for both. Bold where the 95 % interval leaves 0 out."
    body = join([element("p", note, class_="note"), *parts]) if parts else Html("")
    return Section(id="differences", title="Differences", body=body)


def _facts(scored: ScoredRun) -> list[Html]:
    metrics = scored.run.metrics
    found = [(name, metrics[name]) for name in _FACTS if metrics.get(name) not in (None, "")]
    return [element("span", f"{name.replace('_', ' ')} ", element("b", _plain(value))) for name, value in found]


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _card(scored: ScoredRun, name: str) -> Html:
    # A hyphen that no line is broken at.
    titles = (("start", "start"), ("lead\u20111", "lead"))
    others = [(title, scored.run.scores(prefix).get(name)) for title, prefix in titles]
    compared = [f"{title}\u00a0{score_text(name, value)}" for title, value in others if value is not None]
    return element(
        "div",
        element("div", _breakable(name), class_="name"),
        element("div", score_text(name, scored.scores[name]), class_="value"),
        element("div", _interval(scored, name), class_="interval"),
        element("div", " · ".join(compared), class_="compared"),
        element("div", SCORES.get(name, ""), class_="what"),
        class_="card main" if name == MAIN_SCORE else "card",
    )


def _run_card(scored: ScoredRun) -> Html:
    value = scored.scores.get(MAIN_SCORE)
    return element(
        "div",
        element("div", run_name(scored, num_runs=2), " ", scored.run.name, class_="name"),
        element("div", score_text(MAIN_SCORE, value) or "–", class_="value"),
        element("div", _interval(scored, MAIN_SCORE), class_="interval"),
        element("p", _facts(scored), class_="facts"),
        class_=f"card main c{color_of(scored)}",
    )


def _score_table(runs: Sequence[ScoredRun]) -> Html:
    start, lead = (runs[0].run.scores(prefix) for prefix in ("start", "lead"))
    lines = []
    for name, what in SCORES.items():
        if any(name in scored.scores for scored in runs):
            line: list[Child] = [[name, element("small", what)]]
            line += [score_text(name, start.get(name)), score_text(name, lead.get(name))]
            line += [
                [score_text(name, scored.scores.get(name)), element("small", _interval(scored, name))]
                for scored in runs
            ]
            lines.append(line)
    head = ["score", "start of A", "lead-1", *(run_name(scored, num_runs=len(runs)) for scored in runs)]
    return table(head, lines)


def _breakable(name: str) -> list[Html]:
    """A long name that a narrow card may break after an underscore, and nowhere else."""
    *parts, last = name.split("_")
    return [*(join([f"{part}_", element("wbr")]) for part in parts), join(last)]


def _interval(scored: ScoredRun, name: str) -> str:
    if name not in scored.intervals:
        return ""
    low, high = scored.intervals[name]
    return f"[{score_text(name, low)}, {score_text(name, high)}]"


def _difference_table(first: ScoredRun, other: ScoredRun, found: Comparison) -> Html:
    lines = []
    for name, difference in found.differences.items():
        text = score_text(name, difference.interval.mean, sign="+")
        ends = (difference.interval.low, difference.interval.high)
        lines.append(
            [
                name,
                element("b", text) if difference.is_distinguishable else text,
                f"{difference.p_value:.3f}",
                f"[{score_text(name, ends[0], sign='+')}, {score_text(name, ends[1], sign='+')}]",
                f"{found.num_pairs[name]:,}",
            ]
        )
    return table(["score", f"{first.letter} − {other.letter}", "p", "95 % interval", "rows"], lines)


def _config_table(first: ScoredRun, other: ScoredRun) -> Html:
    changed = config_differences(first.run.config, other.run.config)
    if not changed:
        return element("p", "The configs are the same.", class_="note")
    lines = [[element("code", name), element("code", ours), element("code", theirs)] for name, ours, theirs in changed]
    return join(
        [element("h4", "Settings that differ"), table(["setting", first.letter, other.letter], lines, num_text=3)]
    )
