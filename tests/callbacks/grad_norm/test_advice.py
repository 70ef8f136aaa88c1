"""Every rule speaks where it should and is silent where it should not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kosum_pl.callbacks.grad_norm.advice import advice_line, advise, summarize
from kosum_pl.callbacks.grad_norm.record import NormRecord, NormStep
from kosum_pl.callbacks.grad_norm.shape import shape_of

NUM_STEPS, WARMUP = 400, 40


def record_of(
    norms: Sequence[float], losses: Sequence[float] | None = None, *, clip: float | None = 1.0, **settings: Any
) -> NormRecord:
    record = NormRecord(gradient_clip_val=clip, **settings)
    for number, norm in enumerate(norms):
        rate = 1e-3 * min(1.0, number / WARMUP) * (1 - max(0, number - WARMUP) / 1000)
        loss = None if losses is None else float(losses[number])
        record.add(NormStep(step=number + 1, norm=float(norm), loss=loss, learning_rate=rate))
    return record


def noisy(level: float = 0.5, *, seed: int = 0, size: int = NUM_STEPS) -> np.ndarray:
    return level * np.exp(np.random.default_rng(seed).normal(0, 0.1, size))


def losses(start: float, end: float, *, noise: float = 0.05, seed: int = 1) -> np.ndarray:
    curve = end + (start - end) * np.exp(-np.arange(NUM_STEPS) / 80)
    return curve + noise * np.random.default_rng(seed).normal(size=NUM_STEPS)


FALLING = losses(6.0, 2.0)
FLAT = np.concatenate([np.linspace(8, 6, WARMUP), losses(6.0, 5.95)[WARMUP:]])


def with_spikes(norms: np.ndarray, *steps: int, height: float = 5.0) -> np.ndarray:
    norms = norms.copy()
    norms[[step - 1 for step in steps]] *= height
    return norms


@pytest.mark.parametrize("seed", range(5))
def test_norms_from_1_to_1_4_at_clip_1_get_a_value_just_below_their_largest(seed: int) -> None:
    norms = np.random.default_rng(seed).uniform(1.0, 1.4, NUM_STEPS)
    advice = advise(record_of(norms, FALLING))
    assert advice.kind == "clip"
    assert 1.3 <= advice.settings["gradient_clip_val"] <= 1.5
    line = advice_line(record_of(norms, FALLING))
    assert line.startswith("grad norms: median 1.")
    assert "clipped 100% of 400 steps at 1.0; advice: gradient_clip_val: 1.4 (would clip" in line


@pytest.mark.parametrize(("share", "kind"), [(0.0, "fine"), (0.05, "fine"), (0.15, "fine"), (0.3, "clip"), (1, "clip")])
def test_a_clip_value_is_left_alone_while_it_clips_few(share: float, kind: str) -> None:
    norms = np.where(np.arange(NUM_STEPS) % 100 < 100 * share, 1.2, 0.8)
    assert advise(record_of(norms, FALLING)).kind == kind


def test_a_clip_value_that_never_acts_is_replaced_by_a_guard() -> None:
    for clip in (None, 100.0):
        advice = advise(record_of(noisy(0.5), FALLING, clip=clip))
        assert advice.kind == "guard"
        assert 0.75 <= advice.settings["gradient_clip_val"] <= 1.2
    assert "400 steps, no clipping; advice:" in advice_line(record_of(noisy(0.5), FALLING, clip=None))


def test_repeated_spikes_under_a_loss_that_stalls_name_the_learning_rate() -> None:
    advice = advise(record_of(with_spikes(noisy(), 30, 150, 250, 330), FLAT))
    assert advice.kind == "learning_rate"
    assert advice.settings == {"learning_rate": pytest.approx(1e-4)}
    assert str(advice).startswith("learning_rate: 1.0e-4 (a tenth; 4 spikes (step 30, 150, 250, 330), and the loss")


def test_a_loss_that_rises_names_the_learning_rate() -> None:
    rising = np.concatenate([losses(6, 3)[:250], np.linspace(3.2, 6, 150)])
    advice = advise(record_of(noisy(), rising))
    assert (advice.kind, advice.settings) == ("learning_rate", {"learning_rate": pytest.approx(1e-4)})


def test_norms_that_grow_name_the_learning_rate() -> None:
    growing = noisy() * np.linspace(1, 6, NUM_STEPS)
    advice = advise(record_of(growing))
    assert (advice.kind, advice.settings) == ("learning_rate", {"learning_rate": pytest.approx(1e-3 / 3)})
    # While the loss falls a norm may double: adapters start from zero.
    assert advise(record_of(noisy() * np.linspace(1, 2.5, NUM_STEPS), FALLING)).kind != "learning_rate"


def test_repeated_spikes_while_the_loss_falls_ask_for_larger_batches() -> None:
    record = record_of(with_spikes(noisy(), 150, 250, 330), FALLING, accumulate_grad_batches=4)
    advice = advise(record)
    assert advice.kind == "accumulation"
    assert advice.settings == {"accumulate_grad_batches": 8, "learning_rate": pytest.approx(5e-4)}
    assert "accumulate_grad_batches: 8 or learning_rate: 5.0e-4 (" in str(advice)


def test_spikes_around_the_warmup_alone_ask_for_a_longer_one() -> None:
    advice = advise(record_of(with_spikes(noisy(), 35, 50), FALLING))
    assert (advice.kind, advice.settings) == ("warmup", {"warmup_steps": 100})


def test_one_spike_is_an_accident_whose_rows_are_worth_a_look() -> None:
    advice = advise(record_of(with_spikes(noisy(), 200), FALLING))
    assert advice.kind == "fine"
    assert "look at the rows of step 200 in grad_spikes.csv" in advice.reason


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_keeps_its_learning_rate(seed: int) -> None:
    """Also where it learns little, and where batches differ: losses of single steps vary by a quarter."""
    for curve in (losses(6, 1.5, noise=0.4, seed=seed), losses(2.0, 1.9, noise=0.3, seed=seed)):
        norms = noisy(1.2, seed=seed) * np.exp(np.random.default_rng(seed + 99).normal(0, 0.15, NUM_STEPS))
        assert advise(record_of(norms, curve)).kind in ("clip", "fine", "guard")


def test_nan_is_named_first() -> None:
    norms = with_spikes(noisy(), 150, 250, 330)
    norms[99] = math.nan
    advice = advise(record_of(norms, FLAT))
    assert advice.kind == "nonfinite"
    assert "1 norms are NaN or inf, the first at step 100" in advice.reason
    norms[300:] = math.nan
    advice = advise(record_of(norms, FLAT))
    assert advice.settings == {"learning_rate": pytest.approx(1e-4)}
    assert advise(record_of([math.nan] * 30)).kind == "nonfinite"


def test_overflows_of_loss_scaling_are_not_the_runs_fault() -> None:
    norms = noisy()
    norms[:8] = math.inf
    assert advise(record_of(norms, FALLING, has_loss_scaling=True)).kind == "fine"
    assert advise(record_of(norms, FALLING)).kind == "nonfinite"


def test_few_steps_and_no_steps() -> None:
    assert advise(record_of([1.0] * 19)).kind == "too_few"
    assert advise(record_of([])).kind == "too_few"
    assert math.isnan(summarize(record_of([]))["p50"])


def test_summary_is_numpys() -> None:
    norms = noisy(1.0)
    summary = summarize(record_of(with_spikes(norms, 200, height=9.0)))
    norms[199] *= 9.0
    assert summary["p50"] == pytest.approx(np.quantile(norms, 0.5))
    assert summary["p90"] == pytest.approx(np.quantile(norms, 0.9))
    assert summary["p99"] == pytest.approx(np.quantile(norms, 0.99))
    assert summary["clip_rate"] == pytest.approx(np.mean(norms > 1.0))
    assert (summary["num_spikes"], summary["num_steps"], summary["num_nonfinite"]) == (1, 400, 0)


def test_unrest_is_what_a_loop_counts() -> None:
    norms = np.exp(np.random.default_rng(3).normal(0, 0.5, 300))
    high = [norms[i] > 2 * np.median(norms[max(0, i - 50) : i]) for i in range(10, 300)]
    assert shape_of(record_of(norms)).unsteady_share == pytest.approx(np.mean(high))
