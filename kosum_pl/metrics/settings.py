"""How summaries are scored, and the metrics that this makes.

In: what a config says. Out: `ScoreSettings`, and their metrics in the order in which scores are shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from kosum_pl.decode import DEFAULT_LITERALS, Charset
from kosum_pl.extensions import find_extension
from kosum_pl.metrics.contamination import Contamination
from kosum_pl.metrics.overlap import OVERLAP_NAMES, Overlap
from kosum_pl.metrics.quality import TextQuality
from kosum_pl.metrics.rouge import Rouge
from kosum_pl.metrics.row_metric import Pair, RowMetric
from kosum_pl.metrics.semantic.settings import SemanticSettings
from kosum_pl.metrics.slots import SlotRecall
from kosum_pl.metrics.summary import SummaryStatistics
from kosum_pl.metrics.tags import TagScores
from kosum_pl.metrics.tokenize import get_tokenizer
from kosum_pl.types import Prediction

SCORE_NAMES: Final = (
    *("rouge1", "rouge2", "rougeL", "rouge_sum", "rouge_mean"),
    *("eos_rate", "length_ratio", "mean_length"),
    *("contamination_rate", "raw_contamination_rate", "broken_rate"),
)
"""Scores that every set of summaries with references has."""

_RESERVED: Final = ("loss", "num_rows", "regenerated_rows", "changed_rows")
_NAME: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)?")


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """How summaries are scored.

    Attributes:
        charset: Characters of Korean text; others count as foreign.
        literals: Strings that are allowed in every row.
        metrics: Further metrics; see `RowMetric`.
    """

    rouge_tokenizer: str = "kiwi"
    multi_reference: Literal["mean", "max"] = "mean"
    charset: Charset = field(default_factory=Charset)
    literals: tuple[str, ...] = DEFAULT_LITERALS
    semantic: SemanticSettings | None = None
    metrics: Sequence[RowMetric] = ()

    @property
    def score_names(self) -> tuple[str, ...]:
        """Scores that every set of summaries with references has under these settings."""
        added = tuple(name for metric in self.metrics for name in metric.names if "/" not in name)
        return (*SCORE_NAMES, *(self.semantic.names if self.semantic else ()), *added)


class Metrics:
    """The metrics of some settings, and the tokenizer that they share.

    Attributes:
        all: In the order of their scores.
        names: Of all their pairs of numbers, K of them.
        encoder_names: Scores of encoders, which are measured when all rows are there.

    Raises:
        ValueError: A tokenizer or package is not installed, or two scores have one name.
    """

    def __init__(self, settings: ScoreSettings) -> None:
        self.settings = settings
        self.tokenizer = get_tokenizer(settings.rouge_tokenizer)
        self.encoder_names = settings.semantic.encoder_names if settings.semantic else ()
        self._overlap = Overlap(self.tokenizer) if settings.semantic and settings.semantic.overlap else None
        rouge = Rouge(self.tokenizer, multi_reference=settings.multi_reference)
        self.all: list[RowMetric] = [rouge, SummaryStatistics(), TagScores(), SlotRecall()]
        if self._overlap is not None:
            self.all.append(self._overlap)
        contamination = Contamination(settings.charset, literals=settings.literals)
        self.all += [_MeasuredTogether(self.encoder_names), contamination, TextQuality(), *settings.metrics]
        self.names = tuple(name for metric in self.all for name in metric.names)
        _check_names((*self.names, *OVERLAP_NAMES))

    def record(self) -> dict[str, str]:
        """What must stand beside the scores for them to mean something."""
        return {
            "rouge_tokenizer": self.tokenizer.label,
            "multi_reference": self.settings.multi_reference,
            **(self._overlap.record() if self._overlap else {}),
            "contamination_charset": str(self.settings.charset),
        }


@dataclass(frozen=True)
class _MeasuredTogether:
    """Where the scores of encoders stand, which are put in when all rows are there."""

    names: tuple[str, ...]

    def row_values(self, prediction: Prediction) -> list[Pair]:
        return []


def find_metrics(names: Sequence[str]) -> tuple[RowMetric, ...]:
    """The metrics that `model.metrics` names, as `kosum_pl.extensions` finds them; a class is made without arguments.

    Raises:
        ValueError: Nothing has such a name, or what has it is no `RowMetric`.
    """
    return tuple(map(_find_metric, names))


def _find_metric(name: str) -> RowMetric:
    found = find_extension("metrics", name, shipped={}, argument="model.metrics")
    metric = found() if isinstance(found, type) else found
    if not isinstance(metric, RowMetric):
        raise ValueError(f"model.metrics: '{name}' is no metric; give it names and row_values, see RowMetric")
    return metric


def _check_names(names: Sequence[str]) -> None:
    for name, number in Counter([*names, *_RESERVED]).items():
        if number > 1:
            raise ValueError(f"metrics: two scores are named '{name}'; give each a name of its own")
        if not _NAME.fullmatch(name):
            raise ValueError(f"metrics: a score is named '{name}'; use letters, digits, '_' and at most one '/'")
