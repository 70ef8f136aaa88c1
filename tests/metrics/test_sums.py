"""Sums that do not depend on the order of their terms, and two real ranks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics import sums

RANK = """
import os, sys, torch, torch.distributed as dist
from kosum_pl.metrics import (
    ContaminationMetric, RougeMetric, SlotRecall, SummaryStatistics, TagScores, TextQuality
)
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
if world > 1:
    dist.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=rank, world_size=world)
predictions = ["#Person1#은 3시에 간다", "비 온다 KTX", "#Person2#가 Бу", "눈이 온다", "#Person2#와 #Person1# 漢"]
dialogues = ["3시", "KTX", "눈", "", "漢 B"]
references = [["#Person1#은 #Person2#와 간다", "간다"], ["눈"], ["#Person2#"], ["눈이 온다"], ["#Person1# #Person2#"]]
slots = [["3시", "민수"], [], ["온다"], [], []]
# The second rank has one row less, a batch more, and a batch of nothing.
rows = range(rank, 5, world)
rouge, tags, found, statistics = RougeMetric(tokenizer="space"), TagScores(), SlotRecall(), SummaryStatistics()
foreign, quality = ContaminationMetric(), TextQuality()
for row in [*rows, None] if rank else rows:
    part = [] if row is None else [row]
    texts, targets = [predictions[row] for row in part], [references[row] for row in part]
    rouge.update(texts, targets)
    tags.update(texts, targets)
    found.update(texts, [slots[row] for row in part])
    foreign.update(texts, [dialogues[row] for row in part])
    quality.update(texts)
    statistics.update(texts, targets, reached_eos=[row % 2 == 0 for row in part])
metrics = (rouge, tags, found, statistics, foreign, quality)
scores = {name: value for metric in metrics for name, value in metric.compute().items()}
print({name: float(value).hex() for name, value in scores.items()})
if world > 1:
    dist.destroy_process_group()
"""


@given(values=st.lists(st.floats(0, 1), max_size=50), order=st.randoms(use_true_random=False))
def test_order_changes_no_bit(values: list[float], order: object) -> None:
    shuffled = list(values)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    total = sums.zeros() + sum(map(sums.to_units, values))
    again = sums.zeros()
    for value in shuffled:
        again = again + sums.to_units(value)
    assert torch.equal(total, again)
    assert float(sums.from_units(total)) == pytest.approx(sum(values), abs=1e-10)


def test_eight_million_rows_fit() -> None:
    total = torch.tensor(8_000_000 * sums.to_units(1.0))
    assert total.dtype == torch.int64
    assert float(sums.from_units(total)) == 8_000_000


@pytest.mark.slow
def test_two_ranks_score_every_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-c", RANK, str(tmp_path / "meeting")]
    ranks = [
        subprocess.Popen(
            command,
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    outputs = [process.communicate(timeout=120) for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], outputs
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    exec(RANK, {})
    alone = capsys.readouterr().out.strip()
    assert [output.strip() for output, _ in outputs] == [alone, alone]
    assert "rouge_sum" in alone
    for name in ("slot_recall", "swapped_speakers", "contamination_rate", "foreign_per_mille/cyrillic", "hangul_ratio"):
        assert name in alone
