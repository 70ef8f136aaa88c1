from __future__ import annotations

import importlib
import time
from types import ModuleType
from typing import Any

import pytest
from lightning.pytorch import Callback


@pytest.fixture
def benchmark(repository: Any, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark; it is no part of what is installed."""
    monkeypatch.syspath_prepend(repository)
    return importlib.import_module("benchmarks.callbacks")


class Slow(Callback):
    """Takes time in one hook of each kind."""

    def on_train_start(self, *_: Any) -> None:
        time.sleep(0.02)

    def on_train_batch_end(self, *_: Any) -> None:
        time.sleep(0.01)
        self.log()

    def log(self) -> None:
        time.sleep(0.01)


def test_hooks_are_timed_apart_from_what_happens_once(benchmark: ModuleType) -> None:
    run, callback = benchmark.Run(), Slow()
    callback.log = run.logging.around(callback.log, unless=run.in_steps)
    benchmark.watch(callback, run)
    callback.on_train_start()
    for _ in range(3):
        callback.on_train_batch_end()
    callback.log()
    assert run.once.wall == pytest.approx(0.02, rel=0.5)
    assert run.in_steps.wall == pytest.approx(0.06, rel=0.5)
    assert run.logging.wall == pytest.approx(0.01, rel=0.5), "what a hook logs is the hook's"
    assert run.in_steps.cpu < 0.01


def test_cost_is_in_percent_of_a_plain_step(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    plain = benchmark.Run(losses=[2.0, 1.0], step_wall=[0.1, 0.2, 0.1], step_cpu=[0.05])
    run = benchmark.Run(losses=[2.0, 1.0], in_steps=benchmark.Stopwatch(wall=0.002, cpu=0.001))
    benchmark.show("Slow", run, plain)
    first, second = capsys.readouterr().out.splitlines()
    assert "processor hooks   0.500 ms ( 1.00%)" in first
    assert "wall      hooks   1.000 ms ( 1.00%)" in second
    run.losses = [2.0, 1.1]
    with pytest.raises(SystemExit, match="Slow: the losses are not those of a training without it"):
        benchmark.show("Slow", run, plain)


def test_an_unknown_callback_is_told(benchmark: ModuleType) -> None:
    with pytest.raises(SystemExit, match="no callback is named Nobody; give the name of a class in callbacks/"):
        benchmark.callback_named("Nobody")


@pytest.mark.slow
def test_a_callback_that_only_reads_changes_no_loss(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    benchmark.main(["ThroughputLogger", "--steps", "4", "--log_every", "2"])
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ThroughputLogger")]
    assert [line.split()[1] for line in shown] == ["processor", "wall"]
