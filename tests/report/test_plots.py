from __future__ import annotations

import xml.etree.ElementTree as ET

from kosum_pl.report.plots import HEIGHT, WIDTH, Figure, Level, Series, interval_bar, line_plot, scatter_plot
from kosum_pl.report.scales import Scale


def drawn(figure: Figure | None) -> ET.Element:
    assert figure is not None
    return ET.fromstring(figure.svg)


def of_class(svg: ET.Element, name: str) -> list[ET.Element]:
    return [node for node in svg.iter() if name in node.get("class", "").split()]


def test_a_line_lies_where_its_numbers_say() -> None:
    series = Series(label="rouge_sum", points=[(0, 0), (50, 75), (100, 150)], has_dots=True)
    svg = drawn(line_plot([series], title="<rouge>", levels=[Level(label="lead-1", value=75)]))
    # 420 x 240 with margins of 46, 10, 10 and 34; 0 to 150 over 206 to 10.
    assert svg.get("viewBox") == f"0 0 {WIDTH} {HEIGHT}"
    assert of_class(svg, "line")[0].get("points") == "46,206 228,108 410,10"
    level = of_class(svg, "level")[0]
    assert (level.get("y1"), level.get("y2")) == ("108", "108")
    assert [dot.get("cy") for dot in of_class(svg, "dot")] == ["206", "108", "10"]
    texts = [node.text for node in svg.iter("text")]
    assert texts == ["0", "50", "100", "150", "0", "25", "50", "75", "100", "step"]
    assert svg.get("aria-label") == "<rouge>"


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    series = Series(label="norm", points=[(1, 0.0), (2, 1.0), (3, 100.0)])
    svg = drawn(line_plot([series], title="t", is_log=True, marks=[("spike", (3, 100.0)), ("nothing", (4, 0.0))]))
    assert of_class(svg, "line")[0].get("points") == "46,206 410,10"
    assert [mark.get("cy") for mark in of_class(svg, "mark")] == ["10"]


def test_nothing_is_drawn_of_nothing() -> None:
    assert line_plot([Series(label="a", points=[])], title="t") is None
    assert scatter_plot([("a", [], 0)], title="t", x_label="x", y_label="y") is None
    assert of_class(drawn(line_plot([Series(label="a", points=[(5, 5.0)])], title="t")), "dot")


def test_ten_thousand_points_of_a_scatter_stay_small() -> None:
    points = [(float(number % 200), float(number % 150)) for number in range(10_000)]
    figure = scatter_plot([("rows", points, 0)], title="t", x_label="x", y_label="y")
    assert figure is not None
    assert len(figure.svg) < 250_000
    diagonal = of_class(drawn(figure), "level")[0]
    assert [float(diagonal.get(key, "")) for key in ("x1", "y1", "x2", "y2")] == [46, 206, 410, 10]


def test_an_interval_in_a_cell() -> None:
    bar = ET.fromstring(interval_bar(50, 25, 100, scale=Scale(low=0, high=100, start=0, end=200)))
    line, dot = list(bar)
    assert (line.get("x1"), line.get("x2"), dot.get("cx")) == ("50", "200", "100")
