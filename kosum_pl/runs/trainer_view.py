"""What the recorder reads from a Trainer and its module, as plain values.

In: Lightning's objects after a hook. Out: scores, names and paths. It stands apart so that the recorder is about files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from lightning.pytorch import LightningModule, Trainer

from kosum_pl.metrics.score_table import ScoreTable
from kosum_pl.runs.history import Criterion
from kosum_pl.runs.summary import lead_scores
from kosum_pl.types import Prediction


class ScoredModule(Protocol):
    """A module that has been evaluated."""

    scores: dict[str, float]
    start_scores: dict[str, float]
    predictions: list[Prediction]
    notes: list[str]

    def score_record(self) -> dict[str, Any]:
        """What must stand beside the scores."""


def scored(pl_module: LightningModule) -> ScoredModule:
    """The module, seen as what has scores."""
    return cast(ScoredModule, pl_module)


def predictions_so_far(pl_module: LightningModule) -> list[Prediction]:
    """What an evaluation that has not ended has generated, on this rank, in input order."""
    evaluation = getattr(pl_module, "evaluation", None)
    return evaluation.predictions_so_far() if evaluation is not None else []


def command_of(trainer: Trainer) -> str:
    """`fit`, `validate`, `test` or `predict`."""
    assert trainer.state.fn is not None
    return str(trainer.state.fn.value)


def scores_of(trainer: Trainer, pl_module: LightningModule) -> dict[str, float]:
    """Everything that was logged under a full name; bare names are aliases for the progress bar."""
    logged = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
    return {**logged, **scored(pl_module).scores}


def bare(scores: Mapping[str, float], stage: str) -> dict[str, float]:
    """Scores of one stage without its prefix."""
    return {name.removeprefix(f"{stage}/"): value for name, value in scores.items() if name.startswith(f"{stage}/")}


def prefixed(scores: Mapping[str, float], prefix: str) -> dict[str, float]:
    """The way back from `bare`."""
    return {f"{prefix}/{name}": value for name, value in scores.items()}


def criterion_of(trainer: Trainer) -> Criterion:
    """What the checkpoint callback chooses by, so that scores and checkpoint are of the same step."""
    checkpoint = trainer.checkpoint_callback
    monitor, mode = getattr(checkpoint, "chosen_by", None) or (
        getattr(checkpoint, "monitor", None),
        getattr(checkpoint, "mode", "min"),
    )
    return Criterion(monitor=monitor, is_lower_better=mode == "min") if monitor else Criterion()


def best_checkpoint(trainer: Trainer) -> str:
    """Absolute path of the best checkpoint so far; empty where there is none."""
    path = getattr(trainer.checkpoint_callback, "best_model_path", "")
    return str(Path(path).resolve()) if path else ""


def baseline_scores(predictions: Sequence[Prediction], pl_module: LightningModule) -> dict[str, float]:
    """Lead-1 ROUGE of the same rows, counted as the module counts."""
    record = scored(pl_module).score_record()
    tokenizer = str(record.get("rouge_tokenizer", "kiwi")).split()[0]
    is_max = record.get("multi_reference") == "max"
    return lead_scores(predictions, rouge_tokenizer=tokenizer, multi_reference="max" if is_max else "mean")


def evaluated_table(pl_module: LightningModule) -> ScoreTable | None:
    """Rows and scores of the module's last evaluation; None where nothing was generated."""
    table = getattr(getattr(pl_module, "evaluation", None), "table", None)
    return table if isinstance(table, ScoreTable) and table.predictions else None


def rejected_rows(datamodule: Any) -> list[dict[str, Any]]:
    """Rows that reading refused, of all splits, each with its reason."""
    tables = getattr(datamodule, "tables", {})
    return [{"split": split, **row} for split, table in tables.items() for row in table.rejected]
