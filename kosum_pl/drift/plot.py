"""The drift report as one figure.

In: comparisons of train with other splits. Out: a picture of a panel for every feature, and what its numbered labels
stand for: matplotlib's own fonts have no Hangul, so a value they cannot show becomes `topic 1`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kosum_pl.drift.compare import Drift
from kosum_pl.drift.features import OTHER_VALUES, Feature
from kosum_pl.files import writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KOREAN_FONTS: Final = (
    *("Noto Sans CJK KR", "Noto Sans KR", "NanumGothic", "NanumBarunGothic", "Pretendard"),
    *("Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic", "UnDotum", "Baekmuk Gulim"),
)
_NUM_COLUMNS: Final = 3


def draw(drifts: Sequence[Drift], *, path: Path) -> dict[str, str]:
    """Draw shares of every feature's bins, train beside the other splits; the ending of `path` says the format.

    Returns:
        What every numbered label stands for; empty where a Korean font was found, or none is needed.
    """
    # Neither pyplot nor a display: a figure of its own leaves the user's settings alone.
    from matplotlib import font_manager, rc_context
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    known = {font.name for font in font_manager.fontManager.ttflist}
    font = next((name for name in _KOREAN_FONTS if name in known), None)
    legend: dict[str, str] = {}
    names = list(dict.fromkeys(feature.name for drift in drifts for feature in drift.features))
    num_rows = math.ceil(len(names) / _NUM_COLUMNS)
    with rc_context({"font.family": [font, "sans-serif"] if font else ["sans-serif"], "svg.hashsalt": "drift"}):
        figure = Figure(figsize=(5 * _NUM_COLUMNS, 3.4 * num_rows), layout="constrained")
        axes = figure.subplots(num_rows, _NUM_COLUMNS, squeeze=False).ravel()
        for name, panel in zip(names, axes, strict=False):
            found = {
                number: (drift.name, feature)
                for number, drift in enumerate(drifts, start=1)
                for feature in drift.features
                if feature.name == name
            }
            title = _shown(name, "column", legend, has_font=bool(font))
            _draw_panel(panel, found, title=title, legend=legend, has_font=bool(font))
        series = ["train", *(drift.name for drift in drifts)]
        patches = [Patch(color=f"C{number}", label=name) for number, name in enumerate(series)]
        figure.legend(handles=patches, loc="outside upper center", ncols=len(series))
        for panel in axes[len(names) :]:
            panel.set_axis_off()
        with writing(path):
            figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    return legend


def _draw_panel(
    panel: Axes, found: Mapping[int, tuple[str, Feature]], *, title: str, legend: dict[str, str], has_font: bool
) -> None:
    features = [feature for _, feature in found.values()]
    # The most frequent values of two comparisons need not be the same: what one of them counts among the others is
    # shown there for both.
    bins = [
        name
        for name in dict.fromkeys(name for feature in features for name in feature.bins)
        if name != OTHER_VALUES and all(name in own.bins or OTHER_VALUES not in own.bins for own in features)
    ]
    bins += [OTHER_VALUES] if any(OTHER_VALUES in own.bins for own in features) else []
    series = [(0, features[0].bins, features[0].train)]
    series += [(color, feature.bins, feature.other) for color, (_, feature) in found.items()]
    width = 0.8 / len(series)
    for number, (color, own, counts) in enumerate(series):
        share = dict.fromkeys(bins, 0.0)
        for key, count in zip(own, counts, strict=True):
            share[key if key in share else OTHER_VALUES] += 100 * count / sum(counts)
        positions = [index + (number - (len(series) - 1) / 2) * width for index in range(len(bins))]
        panel.bar(positions, list(share.values()), width=width, color=f"C{color}")
    labels = [_shown(value, title, legend, has_font=has_font) for value in bins]
    is_long = len(bins) > 4
    panel.set_xticks(range(len(bins)), labels, rotation=45 if is_long else 0, ha="right" if is_long else "center")
    panel.tick_params(labelsize=7)
    distances = ", ".join(f"{name} {feature.distance.js:.2f}" for name, feature in found.values())
    panel.set_title(f"{title}: JS {distances}", fontsize=9)
    panel.set_ylabel("% of rows", fontsize=8)


def _shown(value: str, noun: str, legend: dict[str, str], *, has_font: bool) -> str:
    """A label that the font can show: the value, or a numbered one that `legend` explains."""
    if value.isascii() or has_font:
        return value.replace("$", r"\$")
    of_noun = {meaning: label for label, meaning in legend.items() if label.startswith(f"{noun} ")}
    label = of_noun.get(value, f"{noun} {len(of_noun) + 1}")
    legend[label] = value
    return label
