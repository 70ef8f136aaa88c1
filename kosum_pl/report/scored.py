"""A run's predictions with their scores: of all rows with intervals, of each row, and against another run.

In: a `Run`. Out: a frozen `ScoredRun`. Rows are scored by the very code that scored the run, so that the sum over the
table is the number on the card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.decode import DEFAULT_LITERALS, Charset
from kosum_pl.metrics.bootstrap import Difference, paired_difference
from kosum_pl.metrics.rouge import score_rows
from kosum_pl.metrics.score_table import SEED, ScoreTable
from kosum_pl.metrics.settings import ScoreSettings
from kosum_pl.metrics.tokenize import get_tokenizer
from kosum_pl.runs.predictions import unfinished_line
from kosum_pl.runs.run import Run
from kosum_pl.types import Prediction

MAIN_SCORE: Final = "rouge_sum"
# Those that are means over rows; a ratio of sums, such as length_ratio, has no score of a row to pair.
COMPARED: Final = (
    *(MAIN_SCORE, "rouge1", "rouge2", "rougeL", "tag_recall", "tag_precision", "swapped_speakers"),
    *("contamination_rate", "raw_contamination_rate", "broken_rate", "eos_rate"),
)
# Beyond rounding, a difference means that the files are of two evaluations.
_SAME: Final = 0.005


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredRun:
    """A run and the scores of its N rows.

    Attributes:
        letter: `A` for the first of several.
        scores: Of all rows by bare name, as `metrics.json` says, else counted here.
        intervals: Of those scores that belong to the rows at hand, at 95 %.
        values: Score to each row's, (N,), NaN where it cannot be measured.
        notes: What a reader must know of these numbers.
    """

    run: Run
    letter: str
    settings: ScoreSettings
    scores: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    values: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...]

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The rows."""
        return self.run.predictions

    @property
    def color(self) -> int:
        """Number of the run's colour, the same in all plots."""
        return (ord(self.letter[0]) - ord("A")) % 6

    def has_rouge(self) -> bool:
        """Whether there are references to score against."""
        return MAIN_SCORE in self.values and not bool(np.isnan(self.values[MAIN_SCORE]).all())

    def ranked(self) -> list[int]:
        """Rows that have a `rouge_sum`, the best first; of equal ones the earlier."""
        if not self.has_rouge():
            return []
        sums = self.values[MAIN_SCORE]
        return sorted((row for row in range(len(sums)) if not math.isnan(sums[row])), key=lambda row: -sums[row])


def score_run(run: Run, *, letter: str = "A", table: ScoreTable | None = None) -> ScoredRun:
    """Score a run's rows.

    `table` is of the same rows, where an evaluation has just made them; else they are made here, about 4 ms a row.

    Raises:
        ValueError: The tokenizer that it was scored with is not installed.
    """
    settings = settings_of(run)
    scores = run.scores()
    if not run.predictions:
        return ScoredRun(
            run=run, letter=letter, settings=settings, scores=scores, intervals={}, values={}, notes=run.notes
        )
    notes = [*run.notes, *unfinished_line(run.predictions)]
    if table is None or not _are_same(table.predictions, run.predictions):
        table = ScoreTable.of(run.predictions, settings)
        notes += _left_out(run, settings)
    counted = table.scores()
    intervals = table.intervals()
    same = {name for name in intervals if abs(scores.get(name, counted[name]) - counted[name]) <= _SAME}
    if len(same) < len(intervals):
        notes.append(
            "metrics.json is of another evaluation than predictions.jsonl: cards without an interval are of the "
            "former, rows and texts of the latter"
        )
    return ScoredRun(
        run=run,
        letter=letter,
        settings=table.settings,
        scores={**counted, **scores},
        intervals={name: ends for name, ends in intervals.items() if name in same},
        values=table.row_scores(),
        notes=tuple(notes),
    )


def settings_of(run: Run) -> ScoreSettings:
    """How a run's summaries were scored, as far as its files say; else by default."""
    constraint = _arguments_of(run).get("constraint") or {}
    literals = constraint.get("literals")
    return ScoreSettings(
        rouge_tokenizer=str(run.metrics.get("rouge_tokenizer", "kiwi")).split()[0],
        multi_reference="max" if run.metrics.get("multi_reference") == "max" else "mean",
        charset=_charset_of(constraint),
        literals=DEFAULT_LITERALS if literals is None else tuple(literals),
    )


def _arguments_of(run: Run) -> Mapping[str, Any]:
    model: Any = run.config.get("model")
    arguments = model.get("init_args", {}) if isinstance(model, Mapping) else {}
    return arguments if isinstance(arguments, Mapping) else {}


def _left_out(run: Run, settings: ScoreSettings) -> list[str]:
    """What plug-ins of the run would add to a table that is made of its files alone."""
    arguments = _arguments_of(run)
    name = (arguments.get("constraint") or {}).get("charset", settings.charset.name)
    notes = []
    if name != settings.charset.name:
        notes.append(
            f"charset '{name}' needs a plug-in that is not loaded here: '{settings.charset.name}' counts instead"
        )
    if metrics := arguments.get("metrics"):
        notes.append(f"scores of model.metrics ({', '.join(metrics)}) are those of metrics.json, without intervals")
    return notes


def _charset_of(constraint: Mapping[str, Any]) -> Charset:
    """The run's charset; one that a plug-in brought and that is not at hand counts as all Korean text."""
    added = {"ranges": tuple(constraint.get("ranges") or ()), "characters": constraint.get("characters", "")}
    try:
        return Charset(name=constraint.get("charset", "korean"), **added)
    except ValueError:
        return Charset(**added)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs on the rows that both have, with the same references.

    Attributes:
        num_rows: Rows in common.
        num_other: Rows in common whose references differ, which are not compared.
        differences: Score to the first run's mean less the other's.
        num_pairs: Score to how many rows it was measured on in both.
    """

    num_rows: int
    num_other: int
    differences: Mapping[str, Difference]
    num_pairs: Mapping[str, int]


def compare_runs(first: ScoredRun, other: ScoredRun) -> Comparison:
    """Compare a run with another, row by row; differences are positive where the first scores higher."""
    index_of = {row.example_id: index for index, row in enumerate(other.predictions)}
    pairs = [(i, index_of[row.example_id]) for i, row in enumerate(first.predictions) if row.example_id in index_of]
    same = [(i, j) for i, j in pairs if first.predictions[i].references == other.predictions[j].references]
    differences, num_pairs = {}, {}
    for name in COMPARED:
        if not same or name not in first.values or name not in other.values:
            continue
        ours, theirs = first.values[name][[i for i, _ in same]], other.values[name][[j for _, j in same]]
        is_measured = ~(np.isnan(ours) | np.isnan(theirs))
        if is_measured.any():
            differences[name] = paired_difference(ours[is_measured], theirs[is_measured], seed=SEED)
            num_pairs[name] = int(is_measured.sum())
    return Comparison(
        num_rows=len(same), num_other=len(pairs) - len(same), differences=differences, num_pairs=num_pairs
    )


def best_reference(prediction: Prediction, settings: ScoreSettings) -> str:
    """The reference that a prediction is nearest to; the first where there is one alone, empty without any."""
    if len(prediction.references) < 2:
        return prediction.references[0] if prediction.references else ""
    scores = score_rows(
        [prediction.text] * len(prediction.references),
        [[text] for text in prediction.references],
        tokenizer=get_tokenizer(settings.rouge_tokenizer),
    )
    return prediction.references[int(scores.sum(axis=1).argmax())]


def _are_same(scored: Sequence[Prediction], written: Sequence[Prediction]) -> bool:
    return len(scored) == len(written) and all(
        first.example_id == second.example_id and first.text == second.text
        for first, second in zip(scored, written, strict=True)
    )
