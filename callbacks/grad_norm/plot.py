"""Gradient norms as a picture.

In: a `NormRecord`. Out: a PNG: norms over steps on a log axis with the clipping line and the spikes, and their
histogram beside it. Labels are English: matplotlib brings no Korean font.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from kosum_pl.files import replacing

from .record import NormRecord

_MAX_POINTS = 20_000  # more than a plot can show


def plot_norms(record: NormRecord, path: Path, *, title: str = "") -> None:
    """Draw a run's norms.

    Args:
        record: At least one step with a finite norm above 0.
        path: PNG file to write or to replace.
        title: Stands above the picture.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [step for step in record.steps if math.isfinite(step.norm) and step.norm > 0]
    steps = np.array([step.step for step in shown])
    norms = np.array([step.norm for step in shown])
    thin = slice(None, None, max(1, steps.size // _MAX_POINTS))
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    over_time, histogram = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
    over_time.plot(steps[thin], norms[thin], linewidth=0.8, color="tab:blue", label="norm before clipping")
    spikes = [spike for spike in record.spikes if math.isfinite(spike.norm)]
    if spikes:
        at, heights = [spike.step for spike in spikes], [spike.norm for spike in spikes]
        over_time.scatter(at, heights, s=30, marker="x", color="tab:red", label=f"{len(spikes)} spikes")
    broken = [spike.step for spike in record.spikes if not math.isfinite(spike.norm)]
    for number, step in enumerate(broken[:100]):
        label = f"{len(broken)} NaN or inf" if number == 0 else None
        over_time.axvline(step, color="tab:red", linewidth=0.8, alpha=0.5, label=label)
    histogram.hist(norms, bins=np.geomspace(norms.min() / 1.001, norms.max() * 1.001, 41), orientation="horizontal")
    if record.gradient_clip_val:
        for axes in (over_time, histogram):
            axes.axhline(record.gradient_clip_val, color="black", linestyle="--", linewidth=1)
        over_time.plot([], [], "k--", linewidth=1, label=f"gradient_clip_val {record.gradient_clip_val:g}")
    over_time.set(yscale="log", xlabel="optimizer step", ylabel="gradient norm (L2)")
    histogram.set(xlabel="steps")
    over_time.legend(loc="best", fontsize="small")
    figure.suptitle(title, fontsize="medium")
    with replacing(path) as temporary:
        canvas.print_figure(temporary, format="png", dpi=120)
