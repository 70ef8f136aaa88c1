"""Intervals of means and of ratios against naive loops and scipy's bootstrap, and what must hold of them."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kosum_pl.metrics import bootstrap
from kosum_pl.metrics.bootstrap import mean_interval, paired_difference, ratio_intervals


def test_the_interval_is_that_of_scipy():
    values = np.random.default_rng(3).gamma(2.0, 30.0, size=120)

    found = mean_interval(values, seed=0, num_resamples=20_000)

    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, confidence_level=0.95, rng=np.random.default_rng(1)
    ).confidence_interval
    assert found.mean == pytest.approx(values.mean())
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.high, abs=0.03 * width)


def test_a_difference_is_paired_like_scipys():
    draw = np.random.default_rng(5)
    baseline = draw.normal(100, 40, size=80)
    values = baseline + draw.normal(3, 5, size=80)

    found = paired_difference(values, baseline, seed=0, num_resamples=20_000)

    expected = stats.bootstrap(
        (values, baseline),
        lambda first, second, axis: (first - second).mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found.interval.low == pytest.approx(expected.low, abs=0.1)
    assert found.interval.high == pytest.approx(expected.high, abs=0.1)
    # Rows differ by 40 points from one another, the systems by 5: unpaired, nothing could be told.
    assert found.is_distinguishable
    assert found.p_value < 0.01


def test_noise_is_called_noise():
    draw = np.random.default_rng(7)
    found = paired_difference(draw.normal(size=50), draw.normal(size=50), seed=0)
    assert not found.is_distinguishable
    assert found.p_value > 0.05


def test_equal_systems_have_no_difference():
    found = paired_difference([1.0, 2.0], [1.0, 2.0], seed=0)
    assert (found.interval.mean, found.interval.low, found.interval.high) == (0, 0, 0)
    assert found.p_value == 1
    assert not found.is_distinguishable


def test_a_worse_system_is_told_apart_too():
    found = paired_difference([1.0] * 20, [2.0] * 20, seed=0, num_resamples=99)
    assert found.is_distinguishable
    assert found.p_value == pytest.approx(2 / 100)


def test_about_95_of_100_intervals_hold_the_true_mean():
    draw = np.random.default_rng(11)
    intervals = [mean_interval(draw.normal(size=60), seed=seed, num_resamples=500) for seed in range(300)]
    share = np.mean([interval.low <= 0 <= interval.high for interval in intervals])
    assert 0.90 <= share <= 0.98


def test_blocks_do_not_change_the_result(monkeypatch):
    values = np.random.default_rng(1).normal(size=37)
    whole = mean_interval(values, seed=4)
    monkeypatch.setattr(bootstrap, "_BLOCK_CELLS", 100)
    assert mean_interval(values, seed=4) == whole


@given(st.lists(st.floats(-300, 300), min_size=1, max_size=30), st.integers(0, 100))
def test_an_interval_is_seeded_and_lies_within_the_values(values, seed):
    found = mean_interval(values, seed=seed, num_resamples=50)
    assert found == mean_interval(values, seed=seed, num_resamples=50)
    slack = 1e-9
    assert min(values) - slack <= found.low <= found.high <= max(values) + slack


def test_an_interval_reads_as_one():
    assert str(mean_interval([2.0, 2.0], seed=0)) == "2.00 [2.00, 2.00]"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_interval([], seed=0), "at least one row"),
        (lambda: mean_interval([1.0, float("nan")], seed=0), "row 1 has no finite score"),
        (lambda: mean_interval([1.0], seed=0, num_resamples=0), "num_resamples is 0"),
        (lambda: paired_difference([1.0], [1.0, 2.0], seed=0), "1 values against 2"),
        (
            lambda: ratio_intervals(np.ones((3, 3)), np.ones((3, 2)), seed=0),
            r"numerators of shape \(3, 3\) over \(3, 2\)",
        ),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def rows(number: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Ratios of three kinds: a mean, a ratio of lengths, and a mean over the rows that can be measured."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(20, 90, size=number).astype(float)
    measured = (draw.random(number) < 0.5).astype(float)
    numerators = np.stack([draw.random(number), lengths * draw.random(number), measured * draw.random(number)], axis=1)
    return numerators, np.stack([np.ones(number), lengths, measured], axis=1)


@pytest.mark.parametrize("block_cells", [4_000_000, 70])
def test_a_naive_loop_over_the_same_resamples_agrees(monkeypatch: pytest.MonkeyPatch, block_cells: int) -> None:
    monkeypatch.setattr(bootstrap, "_BLOCK_CELLS", block_cells)
    numerators, denominators = rows(23)
    resamples = np.random.default_rng(7).integers(23, size=(400, 23))
    found = ratio_intervals(numerators, denominators, seed=7, num_resamples=400)
    for column in range(3):
        ratios = []
        for resample in resamples:
            total = sum(float(denominators[row, column]) for row in resample)
            if total:
                ratios.append(sum(float(numerators[row, column]) for row in resample) / total)
        assert found[column] == pytest.approx(np.quantile(ratios, [0.025, 0.975]), rel=1e-12)


def test_a_mean_has_the_interval_of_a_mean() -> None:
    numerators, denominators = rows(50)
    interval = mean_interval(numerators[:, 0], seed=3, num_resamples=500)
    found = ratio_intervals(numerators, denominators, seed=3, num_resamples=500)[0]
    assert found == pytest.approx([interval.low, interval.high], rel=1e-12)


def test_scipy_finds_much_the_same() -> None:
    numerators, denominators = rows(200)

    def ratio(numerators: np.ndarray, denominators: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(numerators.sum(axis=axis) / denominators.sum(axis=axis))

    found = ratio_intervals(numerators, denominators, seed=0, num_resamples=4000)
    for column in range(3):
        oracle = stats.bootstrap(
            (numerators[:, column], denominators[:, column]),
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
    denominators = np.array([[1.0], [1.0], [1.0], [97.0]] * 10)
    numerators = np.array([[1.0], [1.0], [1.0], [0.0]] * 10)
    low, high = ratio_intervals(numerators, denominators, seed=0)[0]
    assert low < 0.03 < high < 0.1, "long rows weigh more; the mean of the rows' own ratios is 0.75"


def test_what_cannot_be_measured_has_no_interval() -> None:
    numerators, denominators = rows(30)
    denominators[:, 2] = 0
    found = ratio_intervals(numerators, denominators, seed=0, num_resamples=100)
    assert np.isfinite(found[:2]).all()
    assert np.isnan(found[2]).all()
    assert np.isnan(ratio_intervals(numerators[:1], denominators[:1], seed=0)).all()
    assert ratio_intervals(numerators[:, :0], denominators[:, :0], seed=0).shape == (0, 2)


def test_twenty_slices_take_less_than_a_second() -> None:
    numerators, denominators = rows(500)
    numerators, denominators = (np.tile(part, (1, 3))[:, :8] for part in (numerators, denominators))
    start = time.process_time()
    for _ in range(20):
        ratio_intervals(numerators, denominators, seed=0)
    assert time.process_time() - start < 1.0
