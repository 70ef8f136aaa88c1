"""Endings and lengths."""

from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.metrics import SummaryStatistics


def values(metric: SummaryStatistics) -> dict[str, float]:
    return {name: float(value) for name, value in metric.compute().items()}


def test_endings_and_lengths() -> None:
    metric = SummaryStatistics()
    metric.update(["12345678 ", ""], [["1234"], ["12", "1234", "123456"]], reached_eos=[True, False])
    metric.update(["1234"], [["12345678"]], reached_eos=[True])
    assert values(metric) == pytest.approx({"eos_rate": 2 / 3, "length_ratio": 12 / 16, "mean_length": 4.0})


def test_a_mean_over_references_need_not_be_whole() -> None:
    metric = SummaryStatistics()
    metric.update(["1234567"], [["12", "12", "123"]], reached_eos=[True])
    assert values(metric)["length_ratio"] == pytest.approx(3.0, abs=1e-3)


def test_ranks_add_up() -> None:
    first, second = SummaryStatistics(), SummaryStatistics()
    first.update(["12"], [["1"]], reached_eos=[False])
    second.update(["1234", "12"], [["1"], ["12"]], reached_eos=[True, True])
    first.merge_state(second)
    assert values(first) == pytest.approx({"eos_rate": 2 / 3, "length_ratio": 2.0, "mean_length": 8 / 3})


def test_no_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^SummaryStatistics has seen no row"):
        SummaryStatistics().compute()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((["가"], [["가"]], []), "got 1 predictions, 1 references, 0 reached_eos; give one of each a row"),
        ((["가"], [[]], [True]), "row 0 has no reference; leave it out, as nothing can be measured on it"),
    ],
)
def test_wrong_rows_are_named(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^SummaryStatistics") as caught:
        SummaryStatistics().update(*rows)
    assert str(caught.value).endswith(message)
