"""Runs `mbr`: gathers candidates, chooses, scores, writes.

In: runs. Out: files beside the first of them, and lines for the terminal. What was chosen is scored by the settings
that the first run was scored by, and held against each run on the same rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.commands.mbr.choose import Choice, choose
from kosum_pl.commands.mbr.sources import gather
from kosum_pl.errors import UsageError
from kosum_pl.files import make_folders, write_json, write_json_lines
from kosum_pl.metrics.bootstrap import paired_difference
from kosum_pl.metrics.score_table import SEED, ScoreTable
from kosum_pl.metrics.tokenize import get_tokenizer
from kosum_pl.report.scored import MAIN_SCORE, settings_of
from kosum_pl.runs.csv_cells import CsvCells
from kosum_pl.runs.files import EVALUATION_FOLDER, METRICS_FILE, NO_TEXT_KEY, SUBMISSION_FILE
from kosum_pl.runs.folders import make_time_folder
from kosum_pl.runs.predictions import filled_line, unfinished_line, write_predictions
from kosum_pl.runs.run import Run

CHOICES_FILE: Final = "choices.jsonl"


def combine(
    runs: Sequence[Run], *, weights: Mapping[str, float], output: Path | None, cells: CsvCells
) -> Iterator[str]:
    """Choose for every row, write a folder, and say what was won.

    Raises:
        ValueError: The runs do not go together, or the folder is taken.
    """
    rows = gather(runs)
    settings = settings_of(runs[0])
    choices = choose(rows, tokenizer=get_tokenizer(settings.rouge_tokenizer), weights=weights)
    predictions = [choice.prediction for choice in choices]
    table = ScoreTable.of(predictions, settings)
    folder = _make_folder(runs[0], output)
    has_sources = not any(run.metrics.get(NO_TEXT_KEY) for run in runs)
    num_filled = write_predictions(predictions, folder, cells=cells, has_sources=has_sources)
    write_json_lines((_line(choice, runs) for choice in choices), folder / CHOICES_FILE)
    write_json(folder / METRICS_FILE, _metrics(table, runs, weights=weights))
    yield f"{len(rows):,} rows, {len(runs)} candidates each; chosen: {_chosen(choices, runs)}"
    yield from _gains(table, [[row[source].prediction for row in rows] for source in range(len(runs))], runs)
    yield from (*filled_line(num_filled, has_sources=has_sources), *cells.lines(), *unfinished_line(predictions))
    yield f"{len(rows):,} summaries: {folder / SUBMISSION_FILE}"


def _make_folder(run: Run, output: Path | None) -> Path:
    if output is None:
        home = run.folder.parent if run.folder.parent.name == EVALUATION_FOLDER else run.folder / EVALUATION_FOLDER
        return make_time_folder(home, prefix="mbr-")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"--output {output} is taken; name a folder that does not exist, or is empty")
    make_folders(output)
    return output


def _metrics(table: ScoreTable, runs: Sequence[Run], *, weights: Mapping[str, float]) -> dict[str, Any]:
    stage = runs[0].stage
    return {
        **{f"{stage}/{name}": value for name, value in table.scores().items()},
        **table.metrics.record(),
        "stage": stage,
        "num_rows": len(table.predictions),
        "preset": "mbr",
        "mbr": {"weights": dict(weights), "sources": [str(run.folder) for run in runs]},
        **({NO_TEXT_KEY: True} if any(run.metrics.get(NO_TEXT_KEY) for run in runs) else {}),
    }


def _line(choice: Choice, runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "example_id": choice.prediction.example_id,
        "source": str(runs[choice.source].folder),
        "expected": [round(value, 4) for value in choice.expected],
    }


def _chosen(choices: Sequence[Choice], runs: Sequence[Run]) -> str:
    counts = Counter(choice.source for choice in choices)
    return ", ".join(f"{counts[source]:,} of {run.name}" for source, run in enumerate(runs))


def _gains(table: ScoreTable, candidates: Sequence[Sequence[Any]], runs: Sequence[Run]) -> Iterator[str]:
    """The score of each run and of what was chosen, and what that gains on the best of them."""
    chosen = table.row_scores().get(MAIN_SCORE)
    if chosen is None:
        yield "no references here: nothing is scored"
        return
    is_measured = ~np.isnan(chosen)
    sums: list[NDArray[np.float64]] = [
        ScoreTable.of(list(rows), table.settings).row_scores()[MAIN_SCORE][is_measured] for rows in candidates
    ]
    for run, values in zip(runs, sums, strict=True):
        yield f"{MAIN_SCORE} {values.mean():.2f}  {run.name}"
    best = int(np.argmax([values.mean() for values in sums]))
    difference = paired_difference(chosen[is_measured], sums[best], seed=SEED)
    word = "" if difference.is_distinguishable else ", which chance alone may explain"
    yield (
        f"{MAIN_SCORE} {chosen[is_measured].mean():.2f}  chosen: {difference.interval.mean:+.2f} "
        f"[{difference.interval.low:+.2f}, {difference.interval.high:+.2f}] against {runs[best].name}{word}"
    )
