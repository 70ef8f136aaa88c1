"""Bootstrap intervals of ratios of sums, against a naive loop, `mean_interval` and SciPy."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from kosum_pl.metrics import ratio_bootstrap
from kosum_pl.metrics.bootstrap import mean_interval
from kosum_pl.metrics.ratio_bootstrap import ratio_intervals


def rows(number: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Ratios of three kinds: a mean, a ratio of lengths, and a mean over the rows that can be measured."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(20, 90, size=number).astype(float)
    measured = (draw.random(number) < 0.5).astype(float)
    above = np.stack([draw.random(number), lengths * draw.random(number), measured * draw.random(number)], axis=1)
    return above, np.stack([np.ones(number), lengths, measured], axis=1)


@pytest.mark.parametrize("block_cells", [4_000_000, 70])
def test_a_naive_loop_over_the_same_resamples_agrees(monkeypatch: pytest.MonkeyPatch, block_cells: int) -> None:
    monkeypatch.setattr(ratio_bootstrap, "_BLOCK_CELLS", block_cells)
    above, below = rows(23)
    resamples = np.random.default_rng(7).integers(23, size=(400, 23))
    found = ratio_intervals(above, below, seed=7, num_resamples=400, level=0.9)
    for column in range(3):
        ratios = []
        for resample in resamples:
            total = sum(float(below[row, column]) for row in resample)
            if total:
                ratios.append(sum(float(above[row, column]) for row in resample) / total)
        assert found[column] == pytest.approx(np.quantile(ratios, [0.05, 0.95]), rel=1e-12)


def test_a_mean_has_the_interval_of_a_mean() -> None:
    above, below = rows(50)
    interval = mean_interval(above[:, 0], seed=3, num_resamples=500)
    found = ratio_intervals(above, below, seed=3, num_resamples=500)[0]
    assert found == pytest.approx([interval.low, interval.high], rel=1e-12)


def test_scipy_finds_much_the_same() -> None:
    above, below = rows(200)

    def ratio(numerators: np.ndarray, denominators: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(numerators.sum(axis=axis) / denominators.sum(axis=axis))

    found = ratio_intervals(above, below, seed=0, num_resamples=4000)
    for column in range(3):
        oracle = stats.bootstrap(
            (above[:, column], below[:, column]),
            ratio,
            paired=True,
            vectorized=True,
            n_resamples=4000,
            method="percentile",
            rng=np.random.default_rng(5),
        ).confidence_interval
        width = oracle.high - oracle.low
        assert found[column] == pytest.approx([oracle.low, oracle.high], abs=0.1 * width)


def test_the_interval_of_a_ratio_is_not_that_of_a_mean_of_ratios() -> None:
    below = np.array([[1.0], [1.0], [1.0], [97.0]] * 10)
    above = np.array([[1.0], [1.0], [1.0], [0.0]] * 10)
    low, high = ratio_intervals(above, below, seed=0)[0]
    assert low < 0.03 < high < 0.1, "long rows weigh more; the mean of the rows' own ratios is 0.75"


def test_what_cannot_be_measured_has_no_interval() -> None:
    above, below = rows(30)
    below[:, 2] = 0
    found = ratio_intervals(above, below, seed=0, num_resamples=100)
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2]).all()
    assert np.isnan(ratio_intervals(above[:1], below[:1], seed=0)).all()
    assert ratio_intervals(above[:, :0], below[:, :0], seed=0).shape == (0, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_resamples": 0}, "bootstrap: 0 resamples at level 0.95"),
        ({"level": 1.0}, "2000 resamples at level 1.0"),
    ],
)
def test_settings_out_of_range_are_errors(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ratio_intervals(*rows(3), seed=0, **options)  # type: ignore[arg-type]


def test_shapes_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"numerators of shape \(3, 3\) over \(3, 2\)"):
        ratio_intervals(np.ones((3, 3)), np.ones((3, 2)), seed=0)


def test_twenty_slices_take_less_than_a_second() -> None:
    above, below = rows(500)
    above, below = np.tile(above, (1, 3))[:, :8], np.tile(below, (1, 3))[:, :8]
    start = time.process_time()
    for _ in range(20):
        ratio_intervals(above, below, seed=0)
    assert time.process_time() - start < 1.0
