"""The benchmark of whole models: its options are ones that the trainer takes, and its stopwatch counts steps alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import reference
from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.parts import load_parts

TOKENIZERS = {"small_seq2seq": "demo:bart", "small_causal": "demo:llama"}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("kind", reference._EVALUATIONS)
def test_every_option_is_one_of_the_trainer(name: str, kind: str) -> None:
    options = {**reference.MODELS[name], **reference._ALL, **reference._EVALUATIONS[kind]}
    words = [word for pair in options.items() for word in pair]
    parts = load_parts(read_arguments("fit", [*words, "--model.model_name", TOKENIZERS[name]]))
    assert parts.config["trainer"]["check_val_every_n_epoch"] == 1_000_000
    values = parts.config["model"]["init_args"]
    assert values["random_init"]
    assert (values["constraint"] is None) == (kind == "free")


def test_the_stopwatch_counts_steps_and_generation_and_not_what_lies_between(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock = iter([10.0, 12.0, 50.0, 51.5, 100.0, 104.0])
    monkeypatch.setattr(reference.time, "perf_counter", lambda: next(clock))
    monkeypatch.setenv(reference._SECONDS, str(tmp_path / "seconds.json"))
    watch: Any = reference.Stopwatch()
    trainer = SimpleNamespace(global_step=7)
    for names in (("a", "b"), ("c",)):
        watch.on_train_batch_start()
        watch.on_train_batch_end(trainer, None, None, SimpleNamespace(example_ids=names), 0)
    module = SimpleNamespace(language_model=SimpleNamespace(generate=lambda rows: rows))
    watch.on_validation_start(trainer, module)
    assert module.language_model.generate([[5], [6]]) == [[5], [6]]
    watch.teardown(trainer, None, "fit")
    assert json.loads((tmp_path / "seconds.json").read_text()) == {
        "train_seconds": 3.5, "train_rows": 3, "optimizer_steps": 7, "generation_seconds": 4.0, "generation_rows": 2,
    }  # fmt: skip


@pytest.mark.slow
def test_a_small_model_is_trained_and_scored_twice(
    cut_demo: Callable[[int, int], dict[str, str]], repository: Path, tmp_path: Path
) -> None:
    rows = cut_demo(40, 10)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.reference", rows["train_file"], rows["val_file"]),
            *("--minutes", "0.05", "--models", "small_seq2seq", "--folder", "small_seq2seq=demo:bart"),
            *("--output", str(tmp_path / "runs")),
        ],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    trained, constrained, free, _ = done.stdout.splitlines()
    assert re.match(r"small_seq2seq  trained +\d+ rows, +\d+ steps, 0\.\d min", trained)
    assert "contamination 0.00" in constrained
    assert re.search(r"rouge_mean [\d.]+, .* of 10 summaries differ, [\d.]+ rows/s, lead-1 [1-9]", free)
