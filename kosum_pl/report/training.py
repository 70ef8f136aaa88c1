"""How a fit went: loss, scores, speed and gradient norms over steps, samples over validations, memory.

In: scored runs. Out: figures, which several runs share, and what is shown of each run.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kosum_pl.report.plots import Figure, Level, Series, line_plot
from kosum_pl.report.scales import Point
from kosum_pl.report.scored import MAIN_SCORE, ScoredRun

# From this factor between the highest and the median norm on, the usual ones would lie flat on the axis.
_LOG_FROM: Final = 15
_GB: Final = 1e9


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Figures over steps, and notes to them."""

    figures: Sequence[Figure]
    notes: Sequence[str]


def curves(runs: Sequence[ScoredRun]) -> Curves | None:
    """All plots over steps that the runs have files for."""
    several = len(runs) > 1
    # An evaluation has one point, which is no curve.
    runs = [scored for scored in runs if scored.run.metrics.get("stage", "fit") == "fit"]
    if not runs:
        return None
    norms = _norms(runs, several)
    figures = [one for one in (_loss(runs, several), _rouge(runs, several), _speed(runs, several), norms) if one]
    notes = [] if norms else ["No gradient norms: there is no grad_norms.csv."]
    return Curves(figures=figures, notes=[*notes, *_advice(runs, several)]) if figures else None


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
    return sorted(point for point in points if math.isfinite(point[1])) or logged(scored, name)


def _label(scored: ScoredRun, text: str, several: bool) -> str:
    return f"{scored.letter} {text}" if several else text


def _loss(runs: Sequence[ScoredRun], several: bool) -> Figure | None:
    series = []
    for scored in runs:
        color = scored.color
        train, val = logged(scored, "train/loss"), validated(scored, "val/loss")
        series.append(Series(label=_label(scored, "train", several), points=train, color=color))
        val_color, label = color if several else 1, _label(scored, "val", several)
        series.append(Series(label=label, points=val, color=val_color, is_dashed=several, has_dots=True))
    return _drawn(series, title="Loss a token")


def _rouge(runs: Sequence[ScoredRun], several: bool) -> Figure | None:
    series, levels = [], []
    for scored in runs:
        points = validated(scored, f"val/{MAIN_SCORE}")
        start = scored.run.scores("start").get(MAIN_SCORE)
        if start is not None and points and points[0][0] > 0:
            points = [(0.0, start), *points]
        label = _label(scored, "rouge_sum", several)
        series.append(Series(label=label, points=points, color=scored.color, has_dots=True))
    lead = runs[0].run.scores("lead").get(MAIN_SCORE)
    if lead is not None:
        levels.append(Level(label="lead-1", value=lead, color=6))
    return _drawn(series, title="rouge_sum of each validation", levels=levels)


def _speed(runs: Sequence[ScoredRun], several: bool) -> Figure | None:
    series = []
    for scored in runs:
        color = scored.color
        real, padded = (logged(scored, f"train/{name}") for name in ("tokens_per_s", "padded_tokens_per_s"))
        series.append(Series(label=_label(scored, "tokens/s", several), points=real, color=color))
        series.append(Series(label=_label(scored, "with padding", several), points=padded, color=color, is_dashed=True))
    return line_plot(series, title="Tokens a second, text alone and with padding")


def _norms(runs: Sequence[ScoredRun], several: bool) -> Figure | None:
    series: list[Series] = []
    levels: list[Level] = []
    marks: list[tuple[str, Point]] = []
    for scored in runs:
        run = scored.run
        points = [(line["step"], line["total"]) for line in run.norms if {"step", "total"} <= line.keys()]
        points = points or logged(scored, "train/grad_norm")
        if not points:
            continue
        series.append(Series(label=_label(scored, "gradient norm", several), points=points, color=scored.color))
        clip = run.norm_summary.get("gradient_clip_val")
        if isinstance(clip, (int, float)) and clip > 0 and all(level.value != clip for level in levels):
            levels.append(Level(label="clipped at", value=float(clip), color=6))
        spikes = set(run.norm_summary.get("spike_steps") or ())
        marks += [(f"spike: {norm:.4g} at step {step:,.0f}", (step, norm)) for step, norm in points if step in spikes]
    norms = [norm for one in series for _, norm in one.points if norm > 0]
    is_log = bool(norms) and max(norms) > _LOG_FROM * statistics.median(norms)
    return line_plot(series, title="Gradient norm before clipping", levels=levels, marks=marks, is_log=is_log)


def _drawn(series: Sequence[Series], *, title: str, levels: Sequence[Level] = ()) -> Figure | None:
    """The plot; nothing where each line is a single point."""
    return line_plot(series, title=title, levels=levels) if any(len(one.points) > 1 for one in series) else None


def _advice(runs: Sequence[ScoredRun], several: bool) -> list[str]:
    """What the callback of gradient norms advised, a line a run."""
    found = [(scored, scored.run.norm_summary.get("advice")) for scored in runs]
    return [
        _label(scored, str(advice["line"]), several)
        for scored, advice in found
        if isinstance(advice, dict) and advice.get("line")
    ]


def samples(scored: ScoredRun) -> dict[str, list[Mapping[str, Any]]]:
    """Lines of `samples.jsonl` by row, each row's in order of their steps."""
    by_row: dict[str, list[Mapping[str, Any]]] = {}
    for line in scored.run.samples:
        by_row.setdefault(str(line.get("example_id")), []).append(line)
    return {name: sorted(lines, key=lambda line: line.get("step") or 0) for name, lines in by_row.items()}


def memory(scored: ScoredRun) -> list[tuple[str, str, str]]:
    """What was planned against the highest that was measured: name, meaning and gigabytes."""
    run = scored.run
    lines = []
    planned = run.plan.get("peak")
    if isinstance(planned, (int, float)):
        lines.append(("planned peak", str(run.plan.get("peak_moment", "")), gigabytes(planned)))
    logs = (*run.log, run.metrics)
    known = (line.get("train/memory_peak_gb") for line in logs)
    peaks = [float(peak) for peak in known if isinstance(peak, (int, float))]
    if peaks:
        is_host = any("train/memory_rss_gb" in line for line in logs)
        what = "of the whole process, as there was no GPU" if is_host else "allocated on the device"
        lines.append(("measured peak", what, f"{max(peaks):.2f}"))
        if isinstance(planned, (int, float)) and planned and not is_host:
            lines.append(("measured over planned", "", f"{max(peaks) * _GB / planned:.2f}"))
    return lines


def gigabytes(size: Any) -> str:
    """Bytes as gigabytes, of three digits."""
    return f"{float(size) / _GB:.3g}"
