"""What callbacks cost, in percent of a training step.

Run: python -m benchmarks.callbacks ThroughputLogger [GradNormHistogram …] [--steps 60] [--config demo.yaml]
In: names of callbacks, each with its defaults. Out: milliseconds a step in their hooks, what Lightning logs more
because of them, and both in percent of the median step of a training without any callback. Validation is off. Hooks are
timed one by one, as two trainings on a shared machine differ by more than any callback costs; processor time is what
counts, see `timing.py`. The losses of every training must be those of the one without callbacks, to the bit.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from benchmarks.timing import machine_facts
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import Parts, load_parts
from kosum_pl.cli.plugins import load_plugins

_ONCE = ("setup", "teardown", "on_fit_start", "on_fit_end", "on_train_start", "on_train_end")


@dataclass
class Stopwatch:
    """Wall and processor seconds of what was called, in all."""

    wall: float = 0.0
    cpu: float = 0.0
    is_running: bool = False

    def around(self, work: Callable[..., Any], *, unless: Stopwatch | None = None) -> Callable[..., Any]:
        """The same function, timed; not while another stopwatch runs, or this one does."""

        def timed(*arguments: Any, **options: Any) -> Any:
            if self.is_running or (unless is not None and unless.is_running):
                return work(*arguments, **options)
            self.is_running = True
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return work(*arguments, **options)
            finally:
                self.cpu += time.process_time() - cpu
                self.wall += time.perf_counter() - wall
                self.is_running = False

        return timed


@dataclass
class Run:
    """What was measured in one training."""

    losses: list[float] = field(default_factory=list)
    step_wall: list[float] = field(default_factory=list)
    step_cpu: list[float] = field(default_factory=list)
    in_steps: Stopwatch = field(default_factory=Stopwatch)
    once: Stopwatch = field(default_factory=Stopwatch)
    logging: Stopwatch = field(default_factory=Stopwatch)


class StepNoter(Callback):
    """Notes each step's loss and time, from the start of a batch to the next one's."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._before: tuple[float, float] | None = None

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """The step before this one is over."""
        now = time.perf_counter(), time.process_time()
        if self._before is not None:
            self._run.step_wall.append(now[0] - self._before[0])
            self._run.step_cpu.append(now[1] - self._before[1])
        self._before = now

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        """Read the loss."""
        self._run.losses.append(outputs["loss"].item())


def callback_named(name: str) -> Callback:
    """A shipped or a user's own callback with its defaults."""
    for module in load_plugins().modules:
        found = getattr(sys.modules.get(module), name, None)
        if isinstance(found, type) and issubclass(found, Callback):
            return found()
    raise SystemExit(f"no callback is named {name}; give the name of a class in callbacks/")


def watch(callback: Callback, run: Run) -> None:
    """Time every hook that a callback has of its own."""
    for name in dir(Callback):
        is_hook = name in _ONCE or name.startswith("on_")
        if is_hook and getattr(type(callback), name) is not getattr(Callback, name):
            stopwatch = run.once if name in _ONCE else run.in_steps
            setattr(callback, name, stopwatch.around(getattr(callback, name)))


def train(parts: Parts, callback: Callback | None, *, num_steps: int, log_every: int) -> Run:
    """A training of `num_steps` optimizer steps, with one callback or none."""
    run = Run()
    if callback is not None:
        watch(callback, run)
    with tempfile.TemporaryDirectory() as folder:
        loggers = [kind(folder, name="", version="") for kind in (TensorBoardLogger, CSVLogger)]
        for logger in loggers:
            logger.log_metrics = run.logging.around(logger.log_metrics, unless=run.in_steps)  # type: ignore[method-assign]
        seed_everything(42, verbose=False)
        trainer = Trainer(
            accelerator="auto", devices=1, max_steps=num_steps, limit_val_batches=0, num_sanity_val_steps=0,
            callbacks=[*([callback] if callback is not None else []), StepNoter(run)], logger=loggers,
            default_root_dir=folder, log_every_n_steps=log_every, gradient_clip_val=1.0, use_distributed_sampler=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(deepcopy(parts.module), datamodule=deepcopy(parts.datamodule))
    return run


def show(name: str, run: Run, plain: Run) -> None:
    """One callback's cost in words."""
    if run.losses != plain.losses:
        raise SystemExit(f"{name}: the losses are not those of a training without it")
    num_steps = len(run.losses)
    for kind, unit in (("cpu", "processor"), ("wall", "wall")):
        step = statistics.median(getattr(plain, f"step_{kind}"))
        hooks = getattr(run.in_steps, kind) / num_steps
        logging = max(0.0, (getattr(run.logging, kind) - getattr(plain.logging, kind)) / num_steps)
        print(
            f"{name:24} {unit:9} hooks {1e3 * hooks:7.3f} ms ({hooks / step:6.2%}), logging {1e3 * logging:7.3f} ms "
            f"({logging / step:6.2%}) of a step of {1e3 * step:.1f} ms; once {1e3 * getattr(run.once, kind):.1f} ms"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="class names of callbacks")
    parser.add_argument("--steps", type=int, default=60, help="optimizer steps of each training")
    parser.add_argument("--log_every", type=int, default=10, help="optimizer steps between logs, as in demo.yaml")
    parser.add_argument("--config", default="demo.yaml", help="what is trained")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    parts = load_parts(read_arguments("fit", ["--config", options.config]))
    plain = train(parts, None, num_steps=options.steps, log_every=options.log_every)
    for name in options.names:
        run = train(parts, callback_named(name), num_steps=options.steps, log_every=options.log_every)
        show(name, run, plain)
    print(", ".join(f"{name}: {value}" for name, value in machine_facts(torch.device("cpu")).items()))


if __name__ == "__main__":
    main()
