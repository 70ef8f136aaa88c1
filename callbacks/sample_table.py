"""Shows the same few summaries after every validation of a fit, so that one sees them grow.

In: the predictions of a validation. Out: a table in the terminal and in TensorBoard, and `samples.jsonl` in the run
directory for the report. A score says that summaries get better; only reading says how.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from rich import get_console
from rich.table import Table
from rich.text import Text

from kosum_pl.files import write_json_lines
from kosum_pl.modules import SummarizationModule
from kosum_pl.runs.files import SAMPLES_FILE, read_steps
from kosum_pl.runs.lost_files import LostFiles
from kosum_pl.runs.predictions import UNFINISHED_MARK
from kosum_pl.terminal import TEXT, escaped
from kosum_pl.types import Prediction

COLUMNS: Final = ("dialogue", "reference", "prediction")


class SampleTable(Callback):
    """Show a fixed set of validation rows: dialogue, reference and prediction, marked where it has no end.

    The rows are chosen among those that are evaluated, and are the same at every validation and after a resume. Where
    validation does not generate (`model.generate_during_fit: false`) there is nothing to show. Rank zero alone shows
    and writes.

    Args:
        num_samples: Rows to show.
        max_characters: Of each text in the tables; the file has them whole.
        seed: Another one chooses other rows.

    Raises:
        ValueError: A number below 1; when `fit` starts: the module is no `SummarizationModule`.

    Example:
        >>> SampleTable(num_samples=0)
        Traceback (most recent call last):
        ValueError: SampleTable.num_samples is 0; give at least 1
    """

    def __init__(self, num_samples: int = 4, max_characters: int = 120, seed: int = 42) -> None:
        for name, value in (("num_samples", num_samples), ("max_characters", max_characters)):
            if value < 1:
                raise ValueError(f"SampleTable.{name} is {value}; give at least 1")
        self.num_samples = num_samples
        self.max_characters = max_characters
        self.seed = seed
        self._lines: Sequence[Mapping[str, Any]] = ()
        self._lost = LostFiles()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on with the file of a resumed run, up to the step that it resumes from."""
        if not isinstance(pl_module, SummarizationModule):
            raise ValueError(
                f"SampleTable: {type(pl_module).__name__} is no SummarizationModule; take the callback out"
            )
        if not trainer.is_global_zero:
            return
        step = trainer.global_step
        self._lines = read_steps(_path(trainer), until_step=step) if step else []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show and keep the rows of a validation inside `fit`."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        if getattr(trainer, "fast_dev_run", False):
            return
        assert isinstance(pl_module, SummarizationModule)
        samples = choose_samples(pl_module.predictions, num_samples=self.num_samples, seed=self.seed)
        if not samples:
            return
        # A checkpoint callback may validate with the weights of an earlier step once training is over.
        candidate_step = getattr(trainer.checkpoint_callback, "candidate_step", None)
        step = trainer.global_step if candidate_step is None else candidate_step
        lines = sample_lines(samples, step=step, epoch=trainer.current_epoch)
        self._lines = merge_lines(self._lines, lines)
        with self._lost.go_on(SAMPLES_FILE):
            write_json_lines(self._lines, _path(trainer))
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                text = markdown_table(lines, max_characters=self.max_characters)
                with self._lost.go_on("samples for TensorBoard"):
                    logger.experiment.add_text("val/samples", text, global_step=step)
        get_console().print(self._table(lines, step=step))

    def _table(self, lines: Sequence[Mapping[str, Any]], *, step: int) -> Table:
        """Texts as they are: rich knows that a Korean character is two columns wide."""
        table = Table("id", *COLUMNS, title=f"samples at step {step:,}", show_lines=True)
        for line in lines:
            cells = (line["example_id"], *shown_texts(line, max_characters=self.max_characters))
            # Not as strings: rich would read [square brackets] as its own markup.
            table.add_row(*(Text(escaped(cell, kept=TEXT)) for cell in cells))
        return table


def _path(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / SAMPLES_FILE


def choose_samples(predictions: Sequence[Prediction], *, num_samples: int, seed: int) -> list[Prediction]:
    """At most `num_samples` rows to watch, in an order of their own; another seed chooses others.

    A hash of their ids decides: not their order or number, nor a random state that a resume would have to restore.
    """
    by_id = {prediction.example_id: prediction for prediction in reversed(predictions)}
    chosen = sorted(by_id, key=lambda example_id: hashlib.sha256(f"{seed}:{example_id}".encode()).digest())
    return [by_id[example_id] for example_id in chosen[:num_samples]]


def sample_lines(samples: Iterable[Prediction], *, step: int, epoch: int) -> list[dict[str, Any]]:
    """What the file keeps of a validation after `step` optimizer steps: whole texts."""
    return [
        {
            "step": step,
            "epoch": epoch,
            "example_id": sample.example_id,
            "dialogue": sample.dialogue,
            "reference": sample.references[0] if sample.references else "",
            "prediction": sample.text,
            "reached_eos": sample.reached_eos,
        }
        for sample in samples
    ]


def merge_lines(lines: Sequence[Mapping[str, Any]], added: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Lines in the order of their steps; a validation that is repeated replaces its lines.

    Example:
        >>> merge_lines([{"step": 1, "x": 1}, {"step": 2, "x": 2}], [{"step": 1, "x": 3}])
        [{'step': 1, 'x': 3}, {'step': 2, 'x': 2}]
    """
    replaced = {line["step"] for line in added}
    return sorted([*(line for line in lines if line["step"] not in replaced), *added], key=lambda line: line["step"])


def shorten(text: str, max_characters: int) -> str:
    """The head of a text, with an ellipsis where something was cut.

    Example:
        >>> shorten("#Person1#: 안녕하세요!", 13), shorten("짧다", 13)
        ('#Person1#: 안…', '짧다')
    """
    return text if len(text) <= max_characters else f"{text[: max_characters - 1].rstrip()}…"


def shown_texts(line: Mapping[str, Any], *, max_characters: int) -> list[str]:
    """A sample's texts in the order of `COLUMNS`; behind a prediction that the model did not end stands a mark.

    Example:
        >>> line = {"dialogue": "가자.", "reference": "간다.", "prediction": "간다. 그", "reached_eos": False}
        >>> shown_texts(line, max_characters=4)
        ['가자.', '간다.', '간다.… [unfinished]']
    """
    texts = [shorten(line[name], max_characters) for name in COLUMNS]
    # Lines of a run that an older version began do not say.
    if not line.get("reached_eos", True):
        texts[-1] = f"{texts[-1]} {UNFINISHED_MARK}"
    return texts


def markdown_table(lines: Iterable[Mapping[str, Any]], *, max_characters: int) -> str:
    r"""Sample lines as a Markdown table, one row each.

    Example:
        >>> line = {"example_id": "a", "dialogue": "안녕|\n네", "reference": "인사", "prediction": "<b>"}
        >>> print(markdown_table([line], max_characters=20))
        | id | dialogue | reference | prediction |
        | --- | --- | --- | --- |
        | a | 안녕\|<br>네 | 인사 | &lt;b&gt; |
    """
    rows = [["id", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    rows += [
        list(map(_cell, (line["example_id"], *shown_texts(line, max_characters=max_characters)))) for line in lines
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cell(text: str) -> str:
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\\", "\\\\"), ("|", "\\|")):
        text = text.replace(old, new)
    return "<br>".join(text.splitlines())
