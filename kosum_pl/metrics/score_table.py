"""Every row of an evaluation as one vector of numbers: what scores, slices, intervals and reports are computed from.

In: predictions. Out: a `ScoreTable`, which sums any choice of its rows and divides. Each row is scored once. Sums are
exact, so that they do not depend on the order of rows, nor on how these were spread over batches and ranks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.metrics.bootstrap import NUM_RESAMPLES, ratio_intervals
from kosum_pl.metrics.row_metric import CorpusMetric, RowMetric, in_units, quotients
from kosum_pl.metrics.settings import Metrics, ScoreSettings
from kosum_pl.types import Prediction

WHOLE: Final = "all"
"""Name of the slice that holds every row."""

SEED: Final = 42
"""Of the resamples: an interval depends on the rows alone, not on which other slices are asked for."""

_ROWS_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceScore:
    """One score of one slice.

    Attributes:
        name: The slice, `weekday=7`, or `all`.
        value: As it is logged.
        low: Lower end of the 95 % bootstrap interval over rows; None without one, as for a single row.
        difference: `value` less that of all rows.
    """

    name: str
    num_rows: int
    score: str
    value: float
    low: float | None
    high: float | None
    difference: float


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreTable:
    """Scores of any choice of N rows.

    Attributes:
        vectors: Numerator and denominator of each of the K `metrics.names`, (N, K, 2); 0 over 0 is not measured.
        slices: Row numbers by name of the slice.
    """

    metrics: Metrics
    predictions: Sequence[Prediction]
    vectors: NDArray[np.float64]
    slices: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, predictions: Sequence[Prediction], settings: ScoreSettings) -> ScoreTable:
        """Score rows, about 4 ms each, by all but encoders.

        Raises:
            ValueError: A tokenizer is not installed, or a metric gives something else than pairs of numbers.
        """
        metrics = Metrics(settings)
        return cls(metrics=metrics, predictions=predictions, vectors=row_vectors(predictions, metrics))

    @property
    def settings(self) -> ScoreSettings:
        """How the rows were scored."""
        return self.metrics.settings

    def scores(self, rows: Sequence[int] | None = None) -> dict[str, float]:
        """Measured scores of some rows, or of all, by bare name; other rows in the table change nothing."""
        columns = self._chosen(rows).transpose(1, 2, 0).tolist()
        sums = [(math.fsum(numerators), math.fsum(denominators)) for numerators, denominators in columns]
        scores: dict[str, float] = {}
        for metric in self.metrics.all:
            part, sums = sums[: len(metric.names)], sums[len(metric.names) :]
            scores |= metric.corpus_scores(part) if isinstance(metric, CorpusMetric) else quotients(metric.names, part)
        return scores

    def row_scores(self) -> dict[str, NDArray[np.float64]]:
        """Scores of each row alone, (N,), NaN where it cannot be measured; of names that any row was measured by."""
        numerators, denominators = np.moveaxis(self.vectors, 2, 0)
        each = np.divide(numerators, denominators, out=np.full_like(numerators, np.nan), where=denominators != 0)
        measured = self._with_parts(self.scores())
        return {name: each[:, column] for name, column in measured.items()}

    def intervals(
        self, rows: Sequence[int] | None = None, *, seed: int = SEED, num_resamples: int = NUM_RESAMPLES
    ) -> dict[str, tuple[float, float]]:
        """Percentile intervals at 95 % by bare name, of those scores that are sums divided and were measured.

        Fewer than two rows have no interval.
        """
        measured = self._with_parts(self.scores(rows))
        pairs = self._chosen(rows)[:, list(measured.values())]
        ends = ratio_intervals(pairs[:, :, 0], pairs[:, :, 1], seed=seed, num_resamples=num_resamples)
        return {name: (low, high) for name, (low, high) in zip(measured, ends.tolist(), strict=True) if low == low}

    def slice_values(self) -> dict[str, float]:
        """Number of rows and scores of each slice, by names such as `rouge_sum/weekday=7`."""
        flat: dict[str, float] = {}
        for name, rows in self.slices.items():
            flat[f"num_rows/{name}"] = len(rows)
            flat |= {f"{score}/{name}": value for score, value in self.scores(rows).items()}
        return flat

    @cached_property
    def slice_scores(self) -> list[SliceScore]:
        """Every score of all rows, then of each slice, with intervals: made when first asked for, by one rank."""
        return list(self._slice_scores()) if self.predictions else []

    def _slice_scores(self) -> Iterator[SliceScore]:
        whole = self.scores()
        for name, rows in {WHOLE: range(len(self.predictions)), **self.slices}.items():
            intervals = self.intervals(rows)
            for score, value in self.scores(rows).items():
                low, high = intervals.get(score, (None, None))
                yield SliceScore(
                    name=name,
                    num_rows=len(rows),
                    score=score,
                    value=value,
                    low=low,
                    high=high,
                    difference=value - whole[score],
                )

    def _chosen(self, rows: Sequence[int] | None) -> NDArray[np.float64]:
        return self.vectors if rows is None else self.vectors[np.asarray(rows, dtype=np.intp)]

    def _with_parts(self, scores: Mapping[str, float]) -> dict[str, int]:
        """Columns of those scores that are a sum divided by another."""
        columns = {name: column for column, name in enumerate(self.metrics.names)}
        return {name: columns[name] for name in scores if name in columns}


def row_vectors(predictions: Sequence[Prediction], metrics: Metrics) -> NDArray[np.float64]:
    """Numerators and denominators of N rows, (N, K, 2); those of encoders are 0."""
    vectors = np.zeros((len(predictions), len(metrics.names), 2))
    for row, prediction in enumerate(predictions):
        if row % _ROWS_AT_ONCE == 0:
            # One call for many texts, which are remembered: an analyser spreads them over threads.
            part = [row for row in predictions[row : row + _ROWS_AT_ONCE] if row.references]
            metrics.tokenizer.tokenize_batch([text for row in part for text in (row.text, *row.references)])
        column = 0
        for metric in metrics.all:
            if pairs := metric.row_values(prediction):
                vectors[row, column : column + len(metric.names)] = _checked(pairs, metric, prediction)
            column += len(metric.names)
    return vectors


def encoder_vectors(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores from `SemanticScorer.score`, (N, E), as pairs, (N, E, 2); NaN was not measured."""
    is_measured = ~np.isnan(scores)
    values = [[in_units(value) for value in row] for row in np.where(is_measured, scores, 0).tolist()]
    return np.stack([np.array(values).reshape(scores.shape), is_measured], axis=2)


def _checked(pairs: Sequence[object], metric: RowMetric, prediction: Prediction) -> NDArray[np.float64]:
    try:
        values = np.asarray(pairs, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.full(0, np.nan)
    if values.shape != (len(metric.names), 2) or not np.isfinite(values).all():
        raise ValueError(
            f"metric {type(metric).__name__}: row {prediction.example_id} has {pairs!r} for the scores "
            f"{', '.join(metric.names)}; give one (numerator, denominator) of finite numbers a score, or an empty list"
        )
    return values
