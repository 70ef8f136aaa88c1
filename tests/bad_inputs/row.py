"""What a row of the table of bad inputs is, and the working folder that every row starts in."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.tiny_config import tiny_config

CONFIG = tiny_config(
    trainer={"max_steps": 2, "log_every_n_steps": 1},
    model={"rouge_tokenizer": "space"},
    data={"test_file": "dev.csv", "predict_file": "dev.csv"},
)


@dataclass(frozen=True, kw_only=True)
class BadInput:
    """One bad input.

    Attributes:
        words: The command line; `{work}` stands for the working folder.
        says: What its one line must hold.
        files: Content of files by their path in the working folder, beside `lay_out`'s.
        make: Whatever else is to be done there.
        leaves_a_run: Whether the fault only shows in a run, whose folder stays.
        has_output: Whether the command has written to standard output before.
    """

    name: str
    words: tuple[str, ...]
    says: tuple[str, ...]
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    make: Callable[[Path], object] | None = None
    leaves_a_run: bool = False
    has_output: bool = False


def lay_out(work: Path) -> None:
    """Write rows, a preset and a config that would train, were it not for the fault."""
    for name, number in (("train", 12), ("dev", 4)):
        with (work / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["fname", "dialogue", "summary", "topic"])
            for row in range(number):
                dialogue = f"#Person1#: {row}시에 만나요.\n#Person2#: 네, {name} 좋아요."
                writer.writerow([f"{name}_{row}", dialogue, f"두 사람은 {row}시에 만난다.", "약속"])
    (work / "tiny_preset.yaml").write_text("max_new_tokens: 4\n", encoding="utf-8")
    (work / "tiny.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")


def fit(*options: str) -> tuple[str, ...]:
    """The command line of a `fit` with the usual config."""
    return ("fit", "--config", "tiny.yaml", *options)


def refused(option: str, value: str, *says: str) -> BadInput:
    """A `fit` with one option that is refused before a run is begun; the line names the option."""
    key = option.removeprefix("--")
    return BadInput(name=f"{key}={value}", words=fit(f"--{key}", value), says=(key, *says))


def fit_with_template(file: str) -> tuple[str, ...]:
    """The command line of a `fit` of a causal model whose chat template is a file."""
    model = ("--model.class_path=CausalModule", "--model.model_name=demo:llama", "--model.config_overrides=null")
    return fit(*model, "--model.prompt.class_path=ChatPrompt", f"--model.prompt.template_file={file}")
