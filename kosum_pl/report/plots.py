"""Plots as inline SVG.

In: points. Out: figures. Colours, also those of the dark page, are the style sheet's: a plot only says which series a
line is. Nothing is drawn by a script, so a printed page has its plots.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from kosum_pl.report.scales import Point, Scale, log_ticks, nice_ticks, short_number, thin

WIDTH: Final = 420
HEIGHT: Final = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 34
_MAX_CELLS: Final = 140


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line.

    Attributes:
        points: (x, y), in order of x.
        color: Number of the colour; runs keep theirs over all plots.
        is_dashed: For a second quantity of the same run.
        has_dots: Whether each point is shown; for few points.
    """

    label: str
    points: Sequence[Point]
    color: int = 0
    is_dashed: bool = False
    has_dots: bool = False


@dataclass(frozen=True, kw_only=True)
class Level:
    """A horizontal line with its meaning: a limit, or what a baseline scores."""

    label: str
    value: float
    color: int = 0


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with its title and its legend, each entry a label and the classes of its sign."""

    title: str
    svg: Markup
    legend: Sequence[tuple[str, str]]


def line_plot(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "step",
    levels: Sequence[Level] = (),
    marks: Sequence[tuple[str, Point]] = (),
    is_log: bool = False,
) -> Figure | None:
    """Lines over a common x; None where no line has a point.

    Marks are single points that stand out, with what a pointer over them shows. Where the vertical axis `is_log`,
    points at or below 0 are left out.
    """
    kept = [(one, [point for point in one.points if not is_log or point[1] > 0]) for one in series]
    kept = [(one, points) for one, points in kept if points]
    if not kept:
        return None
    marks = [mark for mark in marks if not is_log or mark[1][1] > 0]
    everything = [point for _, points in kept for point in points] + [point for _, point in marks]
    ys = [y for _, y in everything] + [level.value for level in levels]
    ticks = log_ticks(min(ys), max(ys)) if is_log else nice_ticks(min(ys), max(ys))
    x, y = _x_scale([point[0] for point in everything]), _y_scale(ticks, is_log=is_log)
    svg = _drawing(title)
    _add_axes(svg, x, y, x_ticks=nice_ticks(x.low, x.high), y_ticks=ticks, x_label=x_label)
    for level in levels:
        _add(svg, "line", x1=x.start, x2=x.end, y1=y(level.value), y2=y(level.value), css=f"level c{level.color}")
    for one, points in kept:
        _add_line(svg, one, points, x, y)
    for text, (at, value) in marks:
        _add(_add(svg, "circle", cx=x(at), cy=y(value), r=3.5, css="mark"), "title", text)
    legend = [(one.label, f"line c{one.color}{' dashed' if one.is_dashed else ''}") for one, _ in kept]
    legend += [(f"{level.label} {level.value:.4g}", f"level c{level.color}") for level in levels]
    legend += [(f"spikes: {len(marks)}", "mark")] if marks else []
    return Figure(title=title, svg=_markup(svg), legend=legend)


def scatter_plot(
    groups: Sequence[tuple[str, Sequence[Point], int]], *, title: str, x_label: str, y_label: str
) -> Figure | None:
    """Points of numbers from 0 on in a square, with the line where both are equal; None where there is no point.

    Groups are label, points and colour. Points of the same cell become one, darker: ten thousand rows are as readable,
    and as small, as fifty.
    """
    values = [value for _, points, _ in groups for point in points for value in point]
    if not values:
        return None
    ticks = nice_ticks(0.0, max(values))
    low, high = ticks[0], ticks[-1]
    x, y = _x_scale([low, high]), _y_scale(ticks, is_log=False)
    svg = _drawing(title)
    _add_axes(svg, x, y, x_ticks=ticks, y_ticks=ticks, x_label=x_label, y_label=y_label)
    _add(svg, "line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), css="level")
    for _, points, color in groups:
        cells = Counter((round(at / high * _MAX_CELLS), round(value / high * _MAX_CELLS)) for at, value in points)
        for (column, line), count in cells.items():
            cx, cy = x(column / _MAX_CELLS * high), y(line / _MAX_CELLS * high)
            _add(
                svg, "circle", cx=cx, cy=cy, r=2.4, opacity=f"{min(1.0, 0.35 + 0.15 * count):.2f}", css=f"dot c{color}"
            )
    return Figure(title=title, svg=_markup(svg), legend=[(label, f"dot c{color}") for label, _, color in groups])


def interval_bar(value: float, low: float | None, high: float | None, *, scale: Scale, color: int = 0) -> Markup:
    """A point with its interval, if any, for a cell of a table; `scale` is the same in all cells of a column."""
    low, high = value if low is None else low, value if high is None else high
    width = f"{scale.end + 6:g}"
    bar = ET.Element("svg", {"viewBox": f"0 0 {width} 16", "width": width, "height": "16", "class": "bar"})
    bar.set("aria-hidden", "true")
    _add(bar, "line", x1=scale(low), x2=scale(high), y1=8, y2=8, css=f"line c{color}")
    _add(bar, "circle", cx=scale(value), cy=8, r=3.5, css=f"dot c{color}")
    return _markup(bar)


def _x_scale(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    return Scale(low=low, high=high if high > low else low + 1, start=_LEFT, end=WIDTH - _RIGHT)


def _y_scale(ticks: Sequence[float], *, is_log: bool) -> Scale:
    high = ticks[-1] if ticks[-1] > ticks[0] else ticks[0] * 10
    return Scale(low=ticks[0], high=high, start=HEIGHT - _BOTTOM, end=_TOP, is_log=is_log)


def _add_axes(
    svg: ET.Element,
    x: Scale,
    y: Scale,
    *,
    x_ticks: Sequence[float],
    y_ticks: Sequence[float],
    x_label: str,
    y_label: str = "",
) -> None:
    for tick in y_ticks:
        _add(svg, "line", x1=x.start, x2=x.end, y1=y(tick), y2=y(tick), css="grid")
        _add(svg, "text", short_number(tick), x=x.start - 6, y=y(tick) + 4, text_anchor="end")
    for tick in x_ticks:
        if x.low <= tick <= x.high:
            _add(svg, "text", short_number(tick), x=x(tick), y=HEIGHT - 18, text_anchor="middle")
    _add(svg, "text", x_label, x=x.end, y=HEIGHT - 4, text_anchor="end", css="label")
    if y_label:
        _add(svg, "text", f"↑ {y_label}", x=x.start + 4, y=_TOP + 14, css="label")


def _add_line(svg: ET.Element, one: Series, points: Sequence[Point], x: Scale, y: Scale) -> None:
    corners = " ".join(f"{_tenths(x(at))},{_tenths(y(value))}" for at, value in thin(points))
    _add(svg, "polyline", points=corners, css=f"line c{one.color}{' dashed' if one.is_dashed else ''}")
    if one.has_dots or len(points) == 1:
        for at, value in points:
            dot = _add(svg, "circle", cx=x(at), cy=y(value), r=2.6, css=f"dot c{one.color}")
            _add(dot, "title", f"{one.label}: {value:.4g} at {at:,.0f}")


def _drawing(title: str) -> ET.Element:
    return ET.Element("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": title})


def _add(parent: ET.Element, name: str, text: str = "", *, css: str = "", **attributes: float | str) -> ET.Element:
    """A new element of `parent`; underscores in names of attributes become hyphens."""
    texts = {
        key.replace("_", "-"): value if isinstance(value, str) else _tenths(value) for key, value in attributes.items()
    }
    child = ET.SubElement(parent, name, {**texts, "class": css} if css else texts)
    child.text = text or None
    return child


def _markup(svg: ET.Element) -> Markup:
    return Markup(ET.tostring(svg, encoding="unicode"))


def _tenths(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
