"""Candidates of the same rows from several runs.

In: run directories. Out: of every row its candidates, with the run that each is from. Rows are matched by their ids, so
that runs of different models, tokenizers and folds come together; rows that are not the same are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kosum_pl.errors import UsageError
from kosum_pl.runs.files import NO_TEXT_KEY, PREDICTIONS_FILE
from kosum_pl.runs.run import Run
from kosum_pl.types import Prediction

LEAST_CANDIDATES: Final = 3
"""Of two, each is as near to the other as the other to it."""
_NUM_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One of a row's candidates.

    Attributes:
        prediction: The row, with this summary.
        source: Number of the run that it is from.
    """

    prediction: Prediction
    source: int


def gather(runs: Sequence[Run]) -> list[list[Candidate]]:
    """Candidates by row, in the order of the first run's rows, and within a row of the runs.

    Raises:
        ValueError: A run has no summaries, or other rows than the first; or there are too few candidates.
    """
    by_id = [_by_id(run) for run in runs]
    for run, found in zip(runs[1:], by_id[1:], strict=True):
        _check_same_rows(runs[0], by_id[0], run, found)
    rows = [
        [Candidate(prediction=found[name], source=source) for source, found in enumerate(by_id)] for name in by_id[0]
    ]
    if len(runs) < LEAST_CANDIDATES:
        raise UsageError(
            f"{len(runs)} candidates a row: of two, each is as near to the other; give {LEAST_CANDIDATES} runs or more"
        )
    return rows


def _by_id(run: Run) -> dict[str, Prediction]:
    path = run.folder / PREDICTIONS_FILE
    predictions = run.predictions
    if reason := run.failures.get(PREDICTIONS_FILE):
        raise UsageError(f"{path} cannot be read ({reason}); evaluate that run again")
    if not predictions:
        raise UsageError(f"{run.folder} has no {path.name}; run validate, test or predict, and give its eval/ folder")
    found = {row.example_id: row for row in predictions}
    if len(found) < len(predictions):
        raise UsageError(f"{path}: ids stand twice, and rows are matched by them; give every row an id of its own")
    return found


def _check_same_rows(first: Run, wanted: dict[str, Prediction], run: Run, found: dict[str, Prediction]) -> None:
    for one, other, there, rows in ((run, first, wanted, found), (first, run, found, wanted)):
        if missing := [name for name in there if name not in rows]:
            raise UsageError(
                f"{one.folder} lacks {len(missing):,} of the rows of {other.folder} ({_named(missing)}); "
                "give runs over the same rows"
            )
    is_shown = not (first.metrics.get(NO_TEXT_KEY) or run.metrics.get(NO_TEXT_KEY))
    others = [name for name, row in wanted.items() if is_shown and found[name].dialogue != row.dialogue]
    if others:
        raise UsageError(
            f"{run.folder} has other dialogues than {first.folder} under {len(others):,} ids ({_named(others)}); "
            "give runs over the same rows"
        )


def _named(names: Sequence[str]) -> str:
    return ", ".join([*names[:_NUM_NAMED], *["…"] * (len(names) > _NUM_NAMED)])
