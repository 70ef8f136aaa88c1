"""The logger's numbers against a hand count: rows encoded anew one by one, times from a clock that the test drives."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger

from kosum_pl.callbacks import throughput_logger as throughput_module
from kosum_pl.callbacks.throughput.flops import BatchLengths, flop_shape, step_flops
from kosum_pl.data import DEFAULT_CLEANING, Columns, read_dialogues
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.encode import TokenLimits
from kosum_pl.modules import SummarizationModule
from tests.modules_fixtures import SMALL, small_module

ThroughputLogger = throughput_module.ThroughputLogger
SCRIPT = Path(__file__).with_name("throughput_of_two_ranks.py")
NUM_ROWS, BATCH_SIZE = 24, 4
BATCHES_AN_EPOCH = NUM_ROWS // BATCH_SIZE


class Clock:
    """Hours pass at every look at it, none as long as another; multiples of 1/64 s, so that sums are exact."""

    def __init__(self, seed: int = 0) -> None:
        self.random, self.times = np.random.default_rng(seed), [0.0]

    def __call__(self) -> float:
        self.times.append(self.times[-1] + int(self.random.integers(1, 640)) / 64)
        return self.times[-1]

    @property
    def batches(self) -> list[tuple[float, float]]:
        """Start and end of every batch, if it is looked at twice a batch and never else."""
        return list(zip(self.times[1::2], self.times[2::2], strict=True))


class Noter(Callback):
    """Notes ids, widths and losses of every training batch."""

    def __init__(self) -> None:
        self.ids: list[tuple[str, ...]] = []
        self.num_padded: list[int] = []
        self.num_learnt: list[int] = []
        self.losses: list[float] = []
        self.shown: list[dict[str, Any]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.ids.append(batch.example_ids)
        target = 0 if pl_module.is_causal else batch.labels.numel()
        self.num_padded.append(batch.input_ids.numel() + target)
        self.num_learnt.append(int((batch.labels != -100).sum()))
        self.losses.append(outputs["loss"].item())
        self.shown.append(dict(trainer.progress_bar_metrics))


def make(kind: str) -> SummarizationModule:
    return small_module(kind, dropout=0.1 if kind == "seq2seq" else 0.0, generate_during_fit=False)


def fit(module: SummarizationModule, files: dict[str, str], callbacks: list[Any], folder: Path, **options: Any) -> Any:
    defaults = {"max_epochs": 2, "log_every_n_steps": 2, "accumulate_grad_batches": 2, "enable_checkpointing": False}
    trainer = Trainer(
        accelerator="cpu", callbacks=callbacks, logger=CSVLogger(str(folder), name="", version=""),
        default_root_dir=folder, num_sanity_val_steps=0, use_distributed_sampler=False, enable_progress_bar=False,
        enable_model_summary=False, **(defaults | options),
    )  # fmt: skip
    trainer.fit(module, datamodule=SummarizationDataModule(**files, batch_size=BATCH_SIZE, eval_batch_size=6))
    return trainer


def logged(folder: Path) -> dict[int, dict[str, float]]:
    """What the CSV logger wrote of us, by step."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        int(row["step"]): {name.removeprefix("train/"): float(value) for name, value in row.items() if value}
        for row in rows
        if row.get("train/tokens_per_s")
    }


def real_and_supervised(module: SummarizationModule, train_file: str) -> dict[str, tuple[int, int]]:
    """Tokens of each row, encoded by itself: all that the model reads, and those that are learnt."""
    limits = TokenLimits(max_source_tokens=1024, max_summary_tokens=128)
    counts = {}
    table = read_dialogues(
        train_file, columns=Columns(), cleaning=DEFAULT_CLEANING, on_bad_rows="error", needs_summary=True,
        cache_dir=Path(os.environ["KOSUM_CACHE"]), split="train",
    )  # fmt: skip
    for dialogue in table:
        example = module.encoder.encode(dialogue, limits=limits, with_summary=True)
        learnt = sum(label != -100 for label in example.labels)
        counts[dialogue.example_id] = (len(example.input_ids) + (0 if module.is_causal else learnt), learnt)
    return counts


def expected_values(
    batches: list[int], clock: Clock, noter: Noter, counts: dict[str, tuple[int, int]]
) -> dict[str, float]:
    """By hand, of whole steps of two batches each, given by the numbers of their batches."""
    spans = clock.batches
    gaps = {batch: spans[batch][0] - spans[batch - 1][1] for batch in batches if batch % BATCHES_AN_EPOCH}
    busy = {batch: spans[batch][1] - spans[batch][0] for batch in batches}
    wall = sum(gaps.values()) + sum(busy.values())
    steps = [busy[batch] + gaps[batch + 1] + busy[batch + 1] for batch in batches[::2]]
    ids = [example_id for batch in batches for example_id in noter.ids[batch]]
    real = sum(counts[example_id][0] for example_id in ids)
    padded = sum(noter.num_padded[batch] for batch in batches)
    return {
        "tokens_per_s": real / wall,
        "padded_tokens_per_s": padded / wall,
        "supervised_tokens_per_s": sum(counts[example_id][1] for example_id in ids) / wall,
        "rows_per_s": len(ids) / wall,
        "padding_ratio": (padded - real) / padded,
        "step_ms_p50": 1e3 * float(np.median(steps)),
        "step_ms_p95": 1e3 * float(np.quantile(steps, 0.95)),
        "data_wait_share": sum(gaps.values()) / wall,
    }


@pytest.mark.parametrize("kind", ["seq2seq", pytest.param("causal", marks=pytest.mark.slow)])
def test_values_are_those_of_a_hand_count(
    kind: str, tmp_path: Path, cut_demo: Callable[..., dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Two epochs of three steps; the first step is left out, and so is the gap with the validation in it."""
    module, files = make(kind), cut_demo(NUM_ROWS, 6)
    callback, noter, clock = ThroughputLogger(warmup_steps=1), Noter(), Clock()
    callback.clock = clock
    trainer = fit(module, files, [callback, noter], tmp_path)
    counts = real_and_supervised(module, files["train_file"])
    assert len(clock.batches) == len(noter.ids) == 12

    found = logged(tmp_path)
    assert sorted(found) == [1, 3, 5]
    for step, batches in ((1, [2, 3]), (3, [4, 5, 6, 7]), (5, [8, 9, 10, 11])):
        expected = expected_values(batches, clock, noter, counts)
        assert {name: found[step][name] for name in expected} == pytest.approx(expected, rel=1e-12)
        assert found[step]["tflops_per_s"] > 0
        assert 0 < found[step]["memory_rss_gb"] <= found[step]["memory_peak_gb"] < 1_000
        assert "device_peak_share" not in found[step]
    assert float(trainer.callback_metrics["train/tokens_per_s"]) == pytest.approx(found[5]["tokens_per_s"])
    whole = expected_values(list(range(2, 12)), clock, noter, counts)
    assert {name: callback.summary[name] for name in whole} == pytest.approx(whole, rel=1e-12)
    assert noter.shown[-1]["tok_per_s"] == pytest.approx(found[5]["tokens_per_s"], abs=0.5)
    assert noter.shown[-1]["mem_gb"] == pytest.approx(found[5]["memory_rss_gb"])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("throughput: ")]
    assert f"throughput: {whole['tokens_per_s']:,.0f} tokens/s (real), padding {whole['padding_ratio']:.0%}, " in line


def test_operations_are_held_against_what_the_device_could_do(
    tmp_path: Path, cut_demo: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput_module, "_peak_flops", lambda trainer, module: 2e9)
    module, callback, noter, clock = make("causal"), ThroughputLogger(warmup_steps=0), Noter(), Clock()
    callback.clock = clock
    fit(module, cut_demo(NUM_ROWS, 6), [callback, noter], tmp_path, max_epochs=1, limit_val_batches=0)
    shape = flop_shape(module.language_model)
    spans = clock.batches
    flops = sum(
        step_flops(shape, BatchLengths(num_rows=len(ids), target_length=padded // len(ids), num_supervised=learnt))
        for ids, padded, learnt in zip(noter.ids, noter.num_padded, noter.num_learnt, strict=True)
    )
    rate = flops / (spans[-1][1] - spans[0][0])
    assert callback.summary["tflops_per_s"] == pytest.approx(rate / 1e12, rel=1e-12)
    assert callback.summary["device_peak_share"] == pytest.approx(rate / 2e9, rel=1e-12)
    assert logged(tmp_path)[1]["device_peak_share"] > 0


def test_a_validation_between_two_micro_batches_is_in_no_time(
    tmp_path: Path, cut_demo: Callable[..., dict[str, str]]
) -> None:
    callback, clock = ThroughputLogger(warmup_steps=0), Clock()
    callback.clock = clock
    options = {"max_epochs": 1, "accumulate_grad_batches": 6, "val_check_interval": 3}
    fit(make("causal"), cut_demo(NUM_ROWS, 6), [callback], tmp_path, **options)
    spans = clock.batches
    waits = [later[0] - earlier[1] for number, (earlier, later) in enumerate(pairwise(spans)) if number != 2]
    wall = sum(end - start for start, end in spans) + sum(waits)
    assert callback.summary["step_ms_p50"] == pytest.approx(1e3 * wall)
    assert callback.summary["data_wait_share"] == pytest.approx(sum(waits) / wall)


def test_a_short_fit_says_that_nothing_was_measured(
    tmp_path: Path, cut_demo: Callable[..., dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    callback = ThroughputLogger()
    fit(make("causal"), cut_demo(NUM_ROWS, 6), [callback], tmp_path, max_epochs=1)
    assert callback.summary == {}
    assert "throughput: no step was measured, as the first 3 are left out" in capsys.readouterr().out
    assert logged(tmp_path) == {}


def test_losses_are_the_same_to_the_bit_without_it(tmp_path: Path, cut_demo: Callable[..., dict[str, str]]) -> None:
    files, curves = cut_demo(NUM_ROWS, 6), []
    for callbacks in ([], [ThroughputLogger(warmup_steps=0)]):
        noter = Noter()
        seed_everything(5)
        fit(make("seq2seq"), files, [*callbacks, noter], tmp_path / str(len(callbacks)))
        curves.append(noter.losses)
    assert curves[0] == curves[1]
    assert len(curves[0]) == 12


def test_another_module_is_refused() -> None:
    with pytest.raises(ValueError, match="ThroughputLogger: LightningModule is no SummarizationModule; take the"):
        ThroughputLogger().on_train_start(Trainer(logger=False, accelerator="cpu"), LightningModule())


@pytest.mark.slow
def test_two_ranks_are_summed(tmp_path: Path, cut_demo: Callable[..., dict[str, str]]) -> None:
    """Each rank counts its own batches by its own clock; both log the same totals."""
    files = cut_demo(NUM_ROWS, 6)
    (tmp_path / "input.json").write_text(json.dumps({"files": files, "shape": SMALL["seq2seq"]}), encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), str(tmp_path)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank_{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]
    for name in ("tokens_per_s", "padded_tokens_per_s", "supervised_tokens_per_s", "rows_per_s", "memory_peak_gb"):
        assert ranks[0]["summary"][name] == ranks[1]["summary"][name]
    counts = real_and_supervised(make("seq2seq"), files["train_file"])
    seen = [example_id for rank in ranks for ids in rank["ids"] for example_id in ids]
    assert sorted(seen) == sorted(counts), "every row once"
    # Spans of each batch; rank 1's batches take twice as long, and all ranks wait for it.
    walls = [rank["ends"][-1] - rank["starts"][0] for rank in ranks]
    wait = [sum(np.subtract(rank["starts"][1:], rank["ends"][:-1])) for rank in ranks]
    assert walls[1] > walls[0]
    expected = {
        "tokens_per_s": sum(counts[example_id][0] for example_id in seen) / max(walls),
        "padded_tokens_per_s": sum(sum(rank["num_padded"]) for rank in ranks) / max(walls),
        "supervised_tokens_per_s": sum(counts[example_id][1] for example_id in seen) / max(walls),
        "rows_per_s": len(seen) / max(walls),
        "data_wait_share": sum(wait) / 2 / max(walls),
        "memory_peak_gb": 2.0,
    }
    assert {name: ranks[0]["summary"][name] for name in expected} == pytest.approx(expected, rel=1e-12)
    assert done.stdout.count("throughput: ") == 1
