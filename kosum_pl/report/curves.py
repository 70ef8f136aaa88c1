"""How a fit went: loss, scores of validations, speed and gradient norms over steps.

In: scored runs. Out: one section of plots. Several runs are drawn into the same plots.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from kosum_pl.report.markup import Html, element, join
from kosum_pl.report.plots import Level, Series, line_plot
from kosum_pl.report.scales import Point
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun
from kosum_pl.report.section import Section, color_of

# From this factor between the highest and the median norm on, the usual ones would lie flat on the axis.
_LOG_FROM = 15


def curves(runs: Sequence[ScoredRun]) -> Section:
    """All plots over steps that the runs have files for."""
    several = len(runs) > 1
    # An evaluation has one point, which is no curve.
    runs = [scored for scored in runs if scored.run.metrics.get("stage", "fit") == "fit"]
    figures = [figure(runs, several) for figure in (_loss, _rouge, _speed, _norms) if runs]
    shown = [figure for figure in figures if figure]
    body = element("div", *shown, class_="figures") if shown else Html("")
    if shown and not figures[-1]:
        body = join([body, element("p", "No gradient norms: there is no grad_norms.csv.", class_="note")])
    if shown and (advice := advice_lines(runs, several=several)):
        body = join([body, *(element("p", line, class_="note") for line in advice)])
    missing = "no fit: only that writes metrics.jsonl"
    return Section(id="curves", title="Training", body=body, missing=missing)


def logged(scored: ScoredRun, name: str) -> list[Point]:
    """A value that was logged during training, over optimizer steps counted from 1."""
    # The logger counts steps from 0; of a resumed run some stand twice, and the later line counts.
    found = {line["step"] + 1: line[name] for line in scored.run.log if name in line and "step" in line}
    return sorted(found.items())


def validated(scored: ScoredRun, name: str) -> list[Point]:
    """A score of each validation, over optimizer steps; from `metrics.csv` where there is no `metrics.jsonl`."""
    points = [
        (float(line["step"]), float(line[name]))
        for line in scored.run.history
        if isinstance(line.get(name), (int, float)) and isinstance(line.get("step"), (int, float))
    ]
    finite = sorted(point for point in points if point[1] == point[1] and abs(point[1]) != float("inf"))
    return finite or logged(scored, name)


def _label(scored: ScoredRun, text: str, several: bool) -> str:
    return f"{scored.letter} {text}" if several else text


def _loss(runs: Sequence[ScoredRun], several: bool) -> Html:
    series = []
    for scored in runs:
        color = color_of(scored)
        series.append(Series(label=_label(scored, "train", several), points=logged(scored, "train/loss"), color=color))
        series.append(
            Series(
                label=_label(scored, "val", several),
                points=validated(scored, "val/loss"),
                color=color if several else 1,
                is_dashed=several,
                has_dots=True,
            )
        )
    return _drawn(series, title="Loss a token")


def _rouge(runs: Sequence[ScoredRun], several: bool) -> Html:
    series, levels = [], []
    for scored in runs:
        points = validated(scored, f"val/{MAIN_SCORE}")
        start = scored.run.scores("start").get(MAIN_SCORE)
        if start is not None and points and points[0][0] > 0:
            points = [(0.0, start), *points]
        label = _label(scored, "rouge_sum", several)
        series.append(Series(label=label, points=points, color=color_of(scored), has_dots=True))
    lead = runs[0].run.scores("lead").get(MAIN_SCORE)
    if lead is not None:
        levels.append(Level(label="lead-1", value=lead, color=6))
    return _drawn(series, title="rouge_sum of each validation", levels=levels)


def _speed(runs: Sequence[ScoredRun], several: bool) -> Html:
    series = []
    for scored in runs:
        color = color_of(scored)
        real, padded = (logged(scored, f"train/{name}") for name in ("tokens_per_s", "padded_tokens_per_s"))
        series.append(Series(label=_label(scored, "tokens/s", several), points=real, color=color))
        series.append(Series(label=_label(scored, "with padding", several), points=padded, color=color, is_dashed=True))
    return line_plot(series, title="Tokens a second, text alone and with padding")


def _norms(runs: Sequence[ScoredRun], several: bool) -> Html:
    series: list[Series] = []
    levels: list[Level] = []
    marks: list[tuple[str, Point]] = []
    for scored in runs:
        run = scored.run
        points = [(line["step"], line["total"]) for line in run.norms if {"step", "total"} <= line.keys()]
        points = points or logged(scored, "train/grad_norm")
        if not points:
            continue
        series.append(Series(label=_label(scored, "gradient norm", several), points=points, color=color_of(scored)))
        clip = run.norm_summary.get("gradient_clip_val")
        if isinstance(clip, (int, float)) and clip > 0 and all(level.value != clip for level in levels):
            levels.append(Level(label="clipped at", value=float(clip), color=6))
        spikes = set(run.norm_summary.get("spike_steps") or ())
        marks += [(f"spike: {norm:.4g} at step {step:,.0f}", (step, norm)) for step, norm in points if step in spikes]
    norms = [norm for one in series for _, norm in one.points if norm > 0]
    is_log = bool(norms) and max(norms) > _LOG_FROM * statistics.median(norms)
    return line_plot(series, title="Gradient norm before clipping", levels=levels, marks=marks, is_log=is_log)


def _drawn(series: Sequence[Series], *, title: str, levels: Sequence[Level] = ()) -> Html:
    """The plot; nothing where each line is a single point."""
    if all(len(one.points) < 2 for one in series):
        return Html("")
    return line_plot(series, title=title, levels=levels)


def advice_lines(runs: Sequence[ScoredRun], *, several: bool) -> list[str]:
    """What the callback of gradient norms advised, a line a run."""
    lines = []
    for scored in runs:
        advice = scored.run.norm_summary.get("advice")
        if isinstance(advice, dict) and advice.get("line"):
            lines.append(_label(scored, str(advice["line"]), several))
    return lines
