"""The meter against sums over a list of moments; totals of ranks against sums by hand."""

from __future__ import annotations

import os
import resource
from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.callbacks.throughput.flops import BatchLengths, batch_lengths
from kosum_pl.callbacks.throughput.memory_use import memory_use
from kosum_pl.callbacks.throughput.meter import CudaTimer, HostTimer, StepMeter, Totals, total_over_ranks
from kosum_pl.encode import CollateItem, Collator
from kosum_pl.types import EncodedExample

# (busy, gap before, tokens, whether the optimizer steps, whether training pauses before) in whole seconds.
BATCHES = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(1, 50), st.booleans(), st.booleans()), max_size=20
)


@given(BATCHES, st.integers(0, 3), st.integers(0, 20))
def test_the_meter_sums_what_a_list_of_moments_sums(
    batches: list[tuple[int, int, int, bool, bool]], warmup_steps: int, collected_after: int
) -> None:
    now = [0.0]
    meter = StepMeter(HostTimer(lambda: now[0]), warmup_steps=warmup_steps)
    collected = []
    steps: list[list[tuple[int, int, int]]] = [[]]
    for number, (busy, gap, tokens, is_step, is_paused) in enumerate(batches):
        if is_paused:
            meter.pause()
        now[0] += gap
        meter.begin_batch()
        now[0] += busy
        meter.end_batch(Totals(real_tokens=tokens), is_step=is_step)
        steps[-1].append((busy, gap if number and not is_paused else 0, tokens))
        if is_step:
            steps.append([])
        if number == collected_after:
            collected.append(meter.collect())
    collected.append(meter.collect())
    found = sum((totals for totals, _ in collected), Totals())
    step_seconds = [seconds for _, part in collected for seconds in part]
    measured = steps[warmup_steps:-1]
    assert found.real_tokens == sum(tokens for step in measured for _, _, tokens in step)
    assert found.num_steps == len(measured)
    assert step_seconds == [sum(busy for busy, _, _ in step) + sum(gap for _, gap, _ in step[1:]) for step in measured]
    assert found.wait_seconds == sum(gap for step in measured for _, gap, _ in step)
    assert found.wall_seconds == sum(busy + gap for step in measured for busy, gap, _ in step)


def test_marks_are_read_only_when_somebody_asks() -> None:
    """On a device a mark can be read once the device has passed it: one wait, for the last."""

    class Device:
        def __init__(self) -> None:
            self.num_marks, self.passed = 0, -1
            self.waited_for: list[int] = []

        def mark(self) -> int:
            self.num_marks += 1
            return self.num_marks

        def wait_for(self, mark: int) -> None:
            self.waited_for.append(mark)
            self.passed = mark

        def seconds(self, start: int, end: int) -> float:
            assert start < end <= self.passed
            return float(end - start)

    device = Device()
    meter = StepMeter(device)
    for _ in range(3):
        meter.begin_batch()
        meter.end_batch(Totals(rows=2), is_step=True)
    meter.begin_batch()  # of the next step: nobody waits for it
    totals, _ = meter.collect()
    assert device.waited_for == [6]
    assert totals == Totals(num_steps=3, rows=6, wall_seconds=5.0, wait_seconds=2.0)
    assert meter.collect() == (Totals(), [])


@pytest.mark.parametrize("is_causal", [True, False])
def test_lengths_are_those_of_the_padded_batch(is_causal: bool) -> None:
    rows = [([5, 6, 7, 2], [-100, -100, 7, 2]), ([5, 2], [-100, 2])] if is_causal else [([5, 6, 7], [8, 2]), ([5], [2])]
    collate = Collator(pad_token_id=2, is_causal=is_causal, for_generation=False)
    batch = collate(
        [
            CollateItem(
                example=EncodedExample(example_id=str(row), input_ids=ids, labels=labels, prompt_length=1), row=row
            )
            for row, (ids, labels) in enumerate(rows)
        ]
    )
    expected = (
        BatchLengths(num_rows=2, target_length=4, num_supervised=3)
        if is_causal
        else BatchLengths(num_rows=2, source_length=3, target_length=2, num_supervised=3)
    )
    lengths = batch_lengths(batch, is_causal=is_causal)
    assert lengths == expected
    assert (lengths.num_padded, batch.num_real_tokens) == ((8, 6) if is_causal else (10, 7))


def test_counts_of_ranks_are_summed_and_the_slowest_rank_is_waited_for() -> None:
    ranks = [
        Totals(
            num_steps=2, rows=4, real_tokens=100 * rank, padded_tokens=400, supervised_tokens=10, flops=10**15,
            wait_seconds=float(rank), wall_seconds=4.0 + rank,
        )
        for rank in (1, 2)
    ]  # fmt: skip
    total = total_over_ranks(torch.tensor([astuple(rank) for rank in ranks], dtype=torch.float64).tolist())
    assert total == Totals(
        num_steps=2, rows=8, real_tokens=300, padded_tokens=800, supervised_tokens=20, flops=2 * 10**15,
        wall_seconds=6.0, wait_seconds=1.5,
    )  # fmt: skip
    assert total.padding_ratio == 0.625
    assert ((total + total).rows, (total + total).wall_seconds) == (16, 12.0)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux only")
def test_memory_is_what_the_system_says() -> None:
    found = memory_use(torch.device("cpu"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    assert found["memory_peak_gb"] == pytest.approx(peak, rel=0.05)
    block = np.ones(25_000_000)  # 200 MB
    grown = memory_use(torch.device("cpu"))["memory_rss_gb"] - found["memory_rss_gb"]
    assert grown == pytest.approx(0.2, abs=0.05)
    assert block.nbytes == 200_000_000
    assert [later >= earlier for earlier, later in pairwise([0.0, *found.values()])] == [True, True]


@pytest.mark.gpu
def test_events_of_a_device_measure_its_own_time() -> None:
    meter = StepMeter(CudaTimer())
    meter.begin_batch()
    torch.cuda._sleep(100_000_000)
    meter.end_batch(Totals(), is_step=True)
    assert 0.01 < meter.collect()[0].wall_seconds < 1.0
