"""Plots as inline SVG.

In: points. Out: markup. Colours, also those of the dark page, are the style sheet's: a plot only says which series a
line is. Nothing is drawn by a script, so a printed page has its plots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from kosum_pl.report.markup import Child, Html, element
from kosum_pl.report.scales import Point, Scale, log_ticks, nice_ticks, short_number, thin

WIDTH: Final = 420
HEIGHT: Final = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 34
_MAX_CELLS: Final = 140


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line.

    Attributes:
        label: In the legend.
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


def line_plot(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str = "step",
    levels: Sequence[Level] = (),
    marks: Sequence[tuple[str, Point]] = (),
    is_log: bool = False,
) -> Html:
    """A figure of lines.

    Args:
        series: The lines; those without points are left out.
        title: Above it.
        x_label: Under it.
        levels: Horizontal lines.
        marks: Single points that stand out, with what a pointer over them shows.
        is_log: Whether the vertical axis is logarithmic; points at or below 0 are left out.
    """
    kept = [(one, [point for point in one.points if not is_log or point[1] > 0]) for one in series]
    kept = [(one, points) for one, points in kept if points]
    if not kept:
        return Html("")
    marks = [mark for mark in marks if not is_log or mark[1][1] > 0]
    everything = [point for _, points in kept for point in points] + [point for _, point in marks]
    ys = [y for _, y in everything] + [level.value for level in levels]
    ticks = log_ticks(min(ys), max(ys)) if is_log else nice_ticks(min(ys), max(ys))
    x, y = _x_scale([point[0] for point in everything]), _y_scale(ticks, is_log=is_log)
    parts: list[Child] = [_axes(x, y, x_ticks=nice_ticks(x.low, x.high), y_ticks=ticks, x_label=x_label)]
    for level in levels:
        place = _number(y(level.value))
        parts.append(element("line", x1=x.start, x2=x.end, y1=place, y2=place, class_=f"level c{level.color}"))
    for one, points in kept:
        parts.append(_line(one, points, x, y))
    for text, (at, value) in marks:
        dot = element("circle", element("title", text), cx=_number(x(at)), cy=_number(y(value)), r=3.5, class_="mark")
        parts.append(dot)
    keys = [_key(one.label, color=one.color, is_dashed=one.is_dashed) for one, _ in kept]
    keys += [_key(f"{level.label} {level.value:.4g}", color=level.color, kind="level") for level in levels]
    keys += [_key(f"spikes: {len(marks)}", kind="mark")] if marks else []
    return _figure(title, parts, keys)


def scatter_plot(groups: Sequence[tuple[str, Sequence[Point], int]], *, title: str, x_label: str, y_label: str) -> Html:
    """A figure of points in a square of numbers, with the line where both are equal.

    Points that fall on the same place become one, darker: ten thousand rows are as readable, and as small, as fifty.

    Args:
        groups: Label, points and colour of each group.
        title: Above it.
        x_label: Under it.
        y_label: Beside it.
    """
    values = [value for _, points, _ in groups for point in points for value in point]
    if not values:
        return Html("")
    ticks = nice_ticks(0.0, max(values))
    x = Scale(low=ticks[0], high=ticks[-1], start=_LEFT, end=WIDTH - _RIGHT)
    y = _y_scale(ticks, is_log=False)
    parts: list[Child] = [_axes(x, y, x_ticks=ticks, y_ticks=ticks, x_label=x_label, y_label=y_label)]
    low, high = ticks[0], ticks[-1]
    parts.append(element("line", x1=x(low), y1=y(low), x2=x(high), y2=y(high), class_="level"))
    for _, points, color in groups:
        for (column, line), count in Counter(_cells(points, ticks[-1])).items():
            at = (column / _MAX_CELLS * ticks[-1], line / _MAX_CELLS * ticks[-1])
            opacity = f"{min(1.0, 0.35 + 0.15 * count):.2f}"
            css = f"dot c{color}"
            cx, cy = _number(x(at[0])), _number(y(at[1]))
            parts.append(element("circle", cx=cx, cy=cy, r=2.4, opacity=opacity, class_=css))
    return _figure(title, parts, [_key(label, color=color, kind="dot") for label, _, color in groups])


def interval_bar(value: float, low: float, high: float, *, scale: Scale, color: int = 0) -> Html:
    """A point with its interval, for a cell of a table; `scale` is the same in all cells of a column."""
    return element(
        "svg",
        element("line", x1=_number(scale(low)), x2=_number(scale(high)), y1=8, y2=8, class_=f"line c{color}"),
        element("circle", cx=_number(scale(value)), cy=8, r=3.5, class_=f"dot c{color}"),
        viewBox=f"0 0 {scale.end + 6:g} 16",
        width=f"{scale.end + 6:g}",
        height=16,
        class_="bar",
        aria_hidden="true",
    )


def _cells(points: Iterable[Point], high: float) -> list[tuple[int, int]]:
    return [(round(x / high * _MAX_CELLS), round(y / high * _MAX_CELLS)) for x, y in points]


def _x_scale(values: Sequence[float]) -> Scale:
    low, high = min(values), max(values)
    return Scale(low=low, high=high if high > low else low + 1, start=_LEFT, end=WIDTH - _RIGHT)


def _y_scale(ticks: Sequence[float], *, is_log: bool) -> Scale:
    high = ticks[-1] if ticks[-1] > ticks[0] else ticks[0] * 10
    return Scale(low=ticks[0], high=high, start=HEIGHT - _BOTTOM, end=_TOP, is_log=is_log)


def _axes(
    x: Scale, y: Scale, *, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str, y_label: str = ""
) -> list[Html]:
    parts = []
    for tick in y_ticks:
        place = _number(y(tick))
        parts.append(element("line", x1=x.start, x2=x.end, y1=place, y2=place, class_="grid"))
        parts.append(element("text", short_number(tick), x=x.start - 6, y=_number(y(tick) + 4), text_anchor="end"))
    for tick in x_ticks:
        if x.low <= tick <= x.high:
            parts.append(element("text", short_number(tick), x=_number(x(tick)), y=HEIGHT - 18, text_anchor="middle"))
    parts.append(element("text", x_label, x=x.end, y=HEIGHT - 4, text_anchor="end", class_="label"))
    if y_label:
        parts.append(element("text", f"↑ {y_label}", x=x.start + 4, y=_TOP + 14, class_="label"))
    return parts


def _line(one: Series, points: Sequence[Point], x: Scale, y: Scale) -> list[Html]:
    places = [f"{_number(x(at))},{_number(y(value))}" for at, value in thin(points)]
    css = f"line c{one.color}{' dashed' if one.is_dashed else ''}"
    parts = [element("polyline", points=" ".join(places), class_=css)]
    if one.has_dots or len(points) == 1:
        for at, value in points:
            text = element("title", f"{one.label}: {value:.4g} at {at:,.0f}")
            parts.append(
                element("circle", text, cx=_number(x(at)), cy=_number(y(value)), r=2.6, class_=f"dot c{one.color}")
            )
    return parts


def _figure(title: str, parts: Sequence[Child], keys: Sequence[Html]) -> Html:
    drawing = element("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title)
    return element(
        "figure", element("figcaption", title), drawing, element("div", *keys, class_="legend") if keys else None
    )


def _key(label: str, *, color: int | None = None, is_dashed: bool = False, kind: str = "line") -> Html:
    css = " ".join(filter(None, ["key", kind, "" if color is None else f"c{color}", "dashed" if is_dashed else ""]))
    return element("span", element("i", class_=css), label)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
