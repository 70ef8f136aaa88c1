"""Tiny runs to export: each trained for three steps and predicted through the Trainer."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from kosum_pl.__main__ import main
from tests.modules_fixtures import WIDE

SHAPES: dict[str, dict[str, Any]] = {
    "seq2seq": WIDE["seq2seq"],
    "causal": {**WIDE["causal"], "hidden_size": 64, "intermediate_size": 64},
}
ROWS = [
    (
        f"row_{number}",
        "\n".join(f"#Person{turn % 2 + 1}#: {number}번 {'KTX ' * turn}예약이요." for turn in range(number + 1)),
    )
    for number in range(7)
]
NEW_TOKENS = ["번을", "예약한다"]
LORA = {"rank": 4, "alpha": 32.0, "dropout": 0.0}


@dataclass(frozen=True, kw_only=True)
class Run:
    """One trained run.

    Attributes:
        folder: Working folder, with `tiny.yaml`.
        exported: What `export` wrote.
        predictions: Rows of the Trainer's `predictions.jsonl`.
    """

    folder: Path
    exported: Path
    predictions: list[dict[str, Any]]


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def write_data(folder: Path) -> None:
    """Train, dev and test; the test split has no summaries, and Saturdays of its own preset."""
    for name in ("train", "dev", "test"):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            summaries = [] if name == "test" else ["summary"]
            writer.writerow(["fname", "dialogue", *summaries, "weekday"])
            for number, (row, text) in enumerate(ROWS):
                summary = [] if name == "test" else [f"#Person1#은 {number}번을 예약한다."]
                writer.writerow([row, text, *summary, 7 if number % 3 == 0 else 2])


def write_base(folder: Path, *, outlier: float = 1.0) -> Path:
    """A causal model with weights of its own, as a hub would give it.

    Args:
        folder: Where to.
        outlier: Factor of every 64th input of the layers: beside a large one, four bits keep little of the others.
    """
    from kosum_pl.modules import CausalModule

    torch.manual_seed(5)
    module = CausalModule("demo:llama", random_init=True, config_overrides=SHAPES["causal"])
    module.configure_model()
    with torch.no_grad():
        for name, weight in module.language_model.named_parameters():
            if name.endswith("_proj.weight"):
                weight[:, ::64] *= outlier
    module.language_model.save_pretrained(folder)
    module.encoder.tokenizer.save_pretrained(folder)
    return folder


def write_config(folder: Path, kind: str, *, data: Mapping[str, Any] | None = None, **model: Any) -> None:
    """`tiny.yaml` with presets, a constraint, and everything else that decides on a summary."""
    (folder / "topical.yaml").write_text("when: {topic_cluster: topic2}\nnum_beams: 1\nmax_new_tokens: 9\n")
    (folder / "short.yaml").write_text("max_new_tokens: 16\nrepetition_penalty: 1.3\n")
    (folder / "weekend.yaml").write_text("when: {weekday: 7}\nnum_beams: 2\nmax_new_tokens: 12\n")
    config = {
        "trainer": {
            "accelerator": "cpu",
            "max_steps": 3,
            "limit_val_batches": 1,
            "log_every_n_steps": 1,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": False,
            "callbacks": [{"class_path": "RougeSumCheckpoint"}],
        },
        "model": {
            "class_path": "Seq2SeqModule" if kind == "seq2seq" else "CausalModule",
            "init_args": {
                "learning_rate": 0.02,
                "rouge_tokenizer": "char",
                "fit_preset": "short.yaml",
                "presets": ["weekend.yaml", "short.yaml"],
                "constraint": {"characters": "é"},
                **model,
            },
        },
        "data": {
            **{
                f"{split}_file": f"{name}.csv"
                for split, name in (("train", "train"), ("val", "dev"), ("predict", "test"))
            },
            "max_source_tokens": 160,
            "max_summary_tokens": 32,
            "batch_size": 4,
            "eval_batch_size": 3,
            "num_workers": 0,
            **(data or {}),
        },
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")


def make_run(
    folder: Path, kind: str, *, options: Sequence[str] = (), data: Mapping[str, Any] | None = None, **model: Any
) -> Run:
    """Train, predict and export.

    Args:
        folder: Working folder.
        kind: `seq2seq` or `causal`.
        options: Of `export`.
        data: Arguments of the data module, beside the usual ones.
        model: Arguments of the module.
    """
    folder.mkdir()
    write_data(folder)
    write_config(folder, kind, data=data, **model)
    with inside(folder):
        assert main(["fit", "--config", "tiny.yaml"]) == 0
        assert main(["predict", "--config", "tiny.yaml", "--ckpt_path", "last"]) == 0
        arguments = ["--config", "tiny.yaml", "--ckpt_path", "last", "--output", "exported", "--device", "cpu"]
        assert main(["export", *arguments, *options]) == 0
    (details,) = folder.glob("runs/tiny/2*/eval/predict-*/predictions.jsonl")
    rows = [json.loads(line) for line in details.read_text(encoding="utf-8").splitlines()]
    return Run(folder=folder, exported=folder / "exported", predictions=rows)


Runs = Callable[[str], Run]


def summarized(run: Run, *, target: Sequence[str] = ("exported",)) -> list[dict[str, Any]]:
    with inside(run.folder):
        arguments = ["test.csv", "--format", "jsonl", "--output", "summaries.jsonl", "--device", "cpu"]
        assert main(["summarize", *target, *arguments]) == 0
    return [json.loads(line) for line in (run.folder / "summaries.jsonl").read_text(encoding="utf-8").splitlines()]


def trained(run: Run) -> dict[str, torch.Tensor]:
    (checkpoint,) = run.folder.glob("runs/tiny/2*/checkpoints/last.ckpt")
    state: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["state_dict"]
    return {name.removeprefix("model."): value for name, value in state.items()}
