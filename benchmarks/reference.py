"""Reference scores on one pipeline: two small models from random weights, and a real one with LoRA.

Run: python -m benchmarks.reference TRAIN.csv DEV.csv --minutes 20 --folder gemma270m=FOLDER [--folder NAME=FOLDER ...]
In: the same rows for all, and the same budget of training time; no run validates before its end. Out: a line a model:
optimizer steps and rows trained, then, greedy, the scores of all dev rows with and without the constraint, and rows a
second of generation. `--folder` gives the tokenizer of a small model, or the weights of the real one, from a local
folder; without one they come from the hub.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from benchmarks.timing import machine_facts

_SECONDS: Final = "KOSUM_PL_SECONDS_FILE"
_BART: Final = {
    **{"model_type": "bart", "d_model": 256, "encoder_layers": 3, "decoder_layers": 3, "encoder_ffn_dim": 1024},
    **{"decoder_ffn_dim": 1024, "encoder_attention_heads": 4, "decoder_attention_heads": 4},
    "max_position_embeddings": 1026,
}
_QWEN: Final = {
    **{"model_type": "qwen3", "hidden_size": 256, "num_hidden_layers": 4, "intermediate_size": 768, "head_dim": 64},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True},
}
_FROM_SCRATCH: Final = {"--model.random_init": "true", "--model.learning_rate": "1e-3", "--model.warmup_steps": "30"}
MODELS: Final[dict[str, dict[str, str]]] = {
    "small_seq2seq": {"--config": "kobart", **_FROM_SCRATCH, "--model.config_overrides": json.dumps(_BART)},
    "small_causal": {
        **{"--config": "qwen4b", **_FROM_SCRATCH, "--model.config_overrides": json.dumps(_QWEN)},
        **{"--model.adapter": "null", "--model.dtype": "float32", "--model.gradient_checkpointing": "false"},
        "--trainer.accumulate_grad_batches": "1",
    },
    "gemma270m": {
        **{"--config": "benchmarks/gemma270m.yaml", "--model.gradient_checkpointing": "true"},
        **{"--model.warmup_ratio": "0", "--model.warmup_steps": "3", "--trainer.num_sanity_val_steps": "0"},
    },
}
_ALL: Final = {
    "--model.schedule": "constant",  # a budget of time says nothing of where a decay would end
    "--model.fit_preset": "fast",
    "--trainer.check_val_every_n_epoch": "1000000",
    "--trainer.max_epochs": "1000000",
    "--data.predict_file": "null",
    "--data.num_eval_samples": "null",
    "--data.max_batch_tokens": "4096",
    "--data.eval_batch_size": "10",
    "--trainer.callbacks": json.dumps(
        [{"class_path": "RougeSumCheckpoint"}, {"class_path": "benchmarks.reference.Stopwatch"}]
    ),
}
_CONSTRAINT: Final = {"kind": "automaton", "charset": "korean", "row_literals": True, "small_head": True}
_EVALUATIONS: Final = {
    "constrained": {"--model.constraint": json.dumps(_CONSTRAINT)},
    "free": {"--model.constraint": "null", "--model.postprocess": "[]"},
}


class Stopwatch(Callback):
    """Seconds and rows of training steps and of generation alone, into the file that the environment names."""

    def __init__(self) -> None:
        self._start = 0.0
        self._counts: dict[str, float] = {}

    def _count(self, stage: str, num_rows: int, start: float) -> None:
        for name, value in (("seconds", time.perf_counter() - start), ("rows", num_rows)):
            self._counts[f"{stage}_{name}"] = self._counts.get(f"{stage}_{name}", 0) + value

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clock of a training step."""
        self._start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add a training step."""
        self._count("train", len(batch.example_ids), self._start)
        self._counts["optimizer_steps"] = trainer.global_step

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Time the model's own `generate`, with what the constraint does inside, and neither loss nor scores."""
        generate = pl_module.language_model.generate

        def timed(*arguments: Any, **settings: Any) -> Any:
            start = time.perf_counter()
            found = generate(*arguments, **settings)
            self._count("generation", len(getattr(found, "sequences", found)), start)
            return found

        pl_module.language_model.generate = timed

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write what was counted."""
        Path(os.environ[_SECONDS]).write_text(json.dumps(self._counts), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all models share.

    Attributes:
        train_file: Rows to train on.
        val_file: Rows to score.
        minutes: Training time of each model.
        folder: Where runs are kept, and what was printed.
    """

    train_file: str
    val_file: str
    minutes: float
    folder: Path

    def run(self, command: str, name: str, options: dict[str, str]) -> dict[str, float]:
        """One command of the trainer in a process of its own; what its stopwatch counted."""
        values = {"--data.train_file": self.train_file, "--data.val_file": self.val_file, **options}
        values["--runs_dir"] = str(self.folder / name)
        words = [word for pair in values.items() for word in pair]
        seconds = self.folder / f"{name}-{command}.json"
        log = self.folder / f"{name}-{command}.log"
        with log.open("a", encoding="utf-8") as stream:
            code = subprocess.run(
                [sys.executable, "-m", "kosum_pl", command, *words],
                env={**os.environ, _SECONDS: str(seconds)}, stdout=stream, stderr=subprocess.STDOUT, check=False,
            ).returncode  # fmt: skip
        if code:
            raise SystemExit(f"{command} of {name} ended with {code}; see {log}")
        counts: dict[str, float] = json.loads(seconds.read_text(encoding="utf-8"))
        return counts

    def scores(self, name: str) -> dict[str, Any]:
        """Scores of the newest evaluation of a model, and how many of its summaries differ from each other."""
        newest = max((self.folder / name).rglob("eval/*/metrics.json"), key=lambda path: path.stat().st_mtime)
        found: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
        with newest.with_name("predictions.csv").open(encoding="utf-8", newline="") as stream:
            found["num_distinct"] = len({row["summary"] for row in csv.DictReader(stream)})
        return found

    def measure(self, name: str, source: str | None) -> None:
        """Train and evaluate one model; print its lines."""
        options = {**MODELS[name], **_ALL, **({"--model.model_name": source} if source else {})}
        budget = {"--trainer.max_time": f"00:00:{int(self.minutes):02d}:{round(self.minutes % 1 * 60):02d}"}
        trained = self.run("fit", name, {**options, **budget})
        steps, rows = int(trained["optimizer_steps"]), int(trained["train_rows"])
        print(
            f"{name:14} trained {rows:6,} rows, {steps:5,} steps, {trained['train_seconds'] / 60:.1f} min, "
            f"{rows / trained['train_seconds']:.2f} rows/s",
            flush=True,
        )
        for kind, how in _EVALUATIONS.items():
            counts = self.run("validate", name, {**options, **how, "--ckpt_path": "last", "--preset": "fast"})
            scores = self.scores(name)
            speed = counts["generation_rows"] / counts["generation_seconds"]
            print(
                f"{name:14} {kind:12} loss {scores['val/loss']:.3f}, rouge_mean {scores['val/rouge_mean']:.1f}, "
                f"rouge_sum {scores['val/rouge_sum']:.1f}, contamination {scores['val/contamination_rate']:.2f}, "
                f"{scores['num_distinct']} of {scores['num_rows']} summaries differ, {speed:.2f} rows/s, "
                f"lead-1 {scores['lead/rouge_mean']:.1f}",
                flush=True,
            )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train_file")
    parser.add_argument("val_file")
    parser.add_argument("--minutes", type=float, default=20, help="training time of each model, below 60")
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=FOLDER", help="where a model comes from")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--output", type=Path, default=Path("runs/reference"), help="where runs are kept")
    options = parser.parse_args(arguments)
    sources = dict(text.split("=", 1) for text in options.folder)
    options.output.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        train_file=options.train_file,
        val_file=options.val_file,
        minutes=options.minutes,
        folder=options.output.resolve(),
    )
    for name in options.models:
        bench.measure(name, sources.get(name))
    print(", ".join(f"{name}: {value}" for name, value in machine_facts(torch.device("cpu")).items()))


if __name__ == "__main__":
    main()
