"""Writes what a run leaves behind; the command line adds it to every Trainer.

In: scores and predictions of the module after each evaluation. Out, in the run directory: `config.yaml`, `run.json`,
`metrics.jsonl`, `metrics.json`, `slices.csv`, `predictions.csv`, `predictions.jsonl`, `rejected.jsonl`, each complete
or absent, and a report for the terminal. Only rank zero writes.
"""

from __future__ import annotations

import hashlib
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, Final

from lightning.pytorch import Callback, LightningModule, Trainer

from kosum_pl.errors import add_report_note
from kosum_pl.files import copy_atomically, write_atomically, write_json, write_json_lines
from kosum_pl.metrics.score_table import ScoreTable
from kosum_pl.runs.csv_cells import CsvCells
from kosum_pl.runs.files import (
    CONFIG_FILE,
    CONFIG_KEY,
    CRASH_FILE,
    HISTORY_FILE,
    METRICS_FILE,
    NO_TEXT_KEY,
    PREDICTIONS_FILE,
    RECORD_FILE,
    REJECTED_FILE,
    SUBMISSION_FILE,
    read_steps,
)
from kosum_pl.runs.folders import RunFolders, point_latest_at
from kosum_pl.runs.history import ValidationHistory
from kosum_pl.runs.lost_files import LostFiles
from kosum_pl.runs.paths import written_name
from kosum_pl.runs.predictions import filled_line, unfinished_line, write_predictions
from kosum_pl.runs.reachability import measure_fit, reachability_lines
from kosum_pl.runs.record import RunRecord, State, now
from kosum_pl.runs.reproduce import Reproduction
from kosum_pl.runs.slice_table import evaluated_slice, write_slices
from kosum_pl.runs.stopping import keep_predictions
from kosum_pl.runs.summary import RunReport
from kosum_pl.runs.trainer_view import (
    bare,
    baseline_scores,
    best_checkpoint,
    command_of,
    criterion_of,
    evaluated_table,
    predictions_so_far,
    prefixed,
    rejected_rows,
    scored,
    scores_of,
)
from kosum_pl.signals import Stopped, received
from kosum_pl.terminal import say
from kosum_pl.types import Prediction

_PREDICTIONS: Final = "predictions and slices"
_NO_VALIDATION: Final = "none, no validation took place; lower trainer.val_check_interval, or train longer"


def _no_pages(*_: Any, **__: Any) -> list[str]:
    return ["report: none, and no dialogues or references in any file (--no_text)"]


class RunRecorder(Callback):
    """Keep scores and predictions of the best validation of `fit`, or of an evaluation.

    Args:
        folders: Where to write, as rank zero opened them.
        config_text: The config; a function is asked once rows are read, of which some settings are made.
        reproduction: How to run it again; None writes no script.
        is_safe_csv: Whether cells of CSV files that a spreadsheet would compute get an apostrophe; counted anyway.
        has_sources: Whether files hold dialogues and references; without, there is no report either.
        write_pages: Writes the report into the folder of a finished command, and says where it lies.

    Attributes:
        has_started: Whether set-up is over; before, nothing worth keeping has been written.
        was_interrupted: Whether the user stopped the run.
        report: What to show at the end; None before, and on all ranks but zero.
        kept: What of an evaluation that did not end was kept, as a line.
    """

    def __init__(
        self,
        folders: RunFolders,
        *,
        config_text: str | Callable[[], str],
        reproduction: Reproduction | None = None,
        is_safe_csv: bool = False,
        has_sources: bool = True,
        write_pages: Callable[..., list[str]] = lambda *_, **__: [],
    ) -> None:
        self.folders = folders
        self.has_started = False
        self.was_interrupted = False
        self.report: RunReport | None = None
        self.kept = ""
        self._given_config_text = config_text
        self._reproduction = reproduction
        self._record: RunRecord | None = None
        self._cells = CsvCells(is_safe=is_safe_csv)
        self._has_sources = has_sources
        self._write_pages = write_pages if has_sources else _no_pages
        self._history = ValidationHistory()
        self._best_predictions: Sequence[Prediction] = ()
        self._best_table: ScoreTable | None = None
        self._start_scores: dict[str, float] = {}
        self._lead_scores: dict[str, float] = {}
        self._written_checkpoint = ""
        self._is_history_written = self._is_best_written = True
        self._lost = LostFiles()

    @cached_property
    def _config_text(self) -> str:
        given = self._given_config_text
        return given if isinstance(given, str) else given()

    @cached_property
    def _config_hash(self) -> str:
        return hashlib.sha256(self._config_text.encode()).hexdigest()[:12]

    @property
    def lost(self) -> str:
        """What of a `fit` that ended could not be written, and why; empty where all was."""
        return self._lost.line

    # Start.

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Agree on the folders: rank zero has opened them, the others learn of them."""
        self.folders = trainer.strategy.broadcast(self.folders)
        trainer._default_root_dir = str(self.folders.output_dir)  # type: ignore[attr-defined]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what is known before the first batch."""
        if self.has_started or not trainer.is_global_zero:
            return
        self.has_started = True
        output_dir = self.folders.output_dir
        head = f"# python -m kosum_pl {command_of(trainer)} --config {CONFIG_FILE}\n"
        write_atomically(output_dir / CONFIG_FILE, head + self._config_text)
        if self._reproduction is not None:
            self._record = self._reproduction.write(output_dir, config_hash=self._config_hash)
        datamodule = getattr(trainer, "datamodule", None)
        rejected = rejected_rows(datamodule)
        if rejected:
            hidden = {} if self._has_sources else {"content": None}
            write_json_lines(({**row, **hidden} for row in rejected), output_dir / REJECTED_FILE)
        for line in (*scored(pl_module).notes, *getattr(datamodule, "report_lines", ())):
            say(line)
        if trainer.state.fn == "fit":
            self._measure_reachability(datamodule, pl_module)

    on_validation_start = on_test_start = on_predict_start = on_fit_start

    def _measure_reachability(self, datamodule: Any, pl_module: LightningModule) -> None:
        """Say what can be generated of what is trained for, and note it in the record."""
        found = measure_fit(datamodule, pl_module)
        for line in reachability_lines(found):
            say(line, flush=True)
        if self._record is not None:
            values = {name: each.values() for name, each in found.items()}
            self._record = replace(self._record, reachability=values)
            self._record.write(self.folders.output_dir)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on there is something to find: this run is the latest one."""
        if math.isinf(trainer.num_sanity_val_steps):  # a shorter sanity check scores a few rows only
            self._start_scores = dict(scored(pl_module).start_scores) or self._start_scores
        if not trainer.is_global_zero:
            return
        lines = read_steps(self.folders.output_dir / HISTORY_FILE, until_step=trainer.global_step)
        self._history.take_lines(lines, until_step=trainer.global_step)
        if not getattr(trainer, "fast_dev_run", False):
            point_latest_at(self.folders.run_dir)

    # During fit.

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note a validation of `fit`, and keep it if it is the best so far; or end `validate`."""
        if trainer.sanity_checking:
            return
        if trainer.state.fn != "fit":
            self.on_test_end(trainer, pl_module)
            return
        candidate_step = getattr(trainer.checkpoint_callback, "candidate_step", None)
        is_best = self._history.add(
            scores_of(trainer, pl_module),
            step=trainer.global_step if candidate_step is None else candidate_step,
            epoch=trainer.current_epoch,
            record=scored(pl_module).score_record(),
            criterion=criterion_of(trainer),
        )
        if is_best:
            self._best_predictions = list(scored(pl_module).predictions)
        if not trainer.is_global_zero:
            return
        self._is_history_written = False
        if is_best and self._best_predictions:
            self._lead_scores = self._lead_scores or baseline_scores(self._best_predictions, pl_module)
            self._best_table = evaluated_table(pl_module)
            self._is_best_written = False
        self._write_validations(trainer)

    def _write_validations(self, trainer: Trainer) -> None:
        """Write all of fit's validations; what cannot be written now is tried again after the next one, and at the end.

        The checkpoint of this validation is written by a callback that comes later.
        """
        output_dir, record = self.folders.output_dir, self._history.best_record
        if not self._is_history_written:
            with self._lost.go_on(HISTORY_FILE):
                write_json_lines(self._history.lines, output_dir / HISTORY_FILE)
                self._is_history_written = True
        if not self._is_best_written:
            with self._lost.go_on(_PREDICTIONS):
                record["num_empty_predictions"] = write_predictions(
                    self._best_predictions, output_dir, cells=self._cells
                )
                if self._best_table is not None:
                    write_slices(self._best_table.slice_scores, output_dir, cells=self._cells)
                self._is_best_written = True
        self._write_fit_metrics(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Checkpoints are written after validations have ended: name the new best one as soon as it is there."""
        if trainer.is_global_zero and self._history.lines and best_checkpoint(trainer) != self._written_checkpoint:
            self._write_fit_metrics(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the final scores, and show them beside the untrained model and the lead-1 baseline."""
        if not trainer.is_global_zero:
            return
        self._write_validations(trainer)
        with self._lost.go_on(RECORD_FILE):
            self._end("done")
        record = self._history.best_record
        checkpoint, choice = best_checkpoint(trainer), getattr(trainer.checkpoint_callback, "choice", "")
        for logger in trainer.loggers:  # which keep the last steps in memory, and the report shows them
            with self._lost.go_on(type(logger).__name__):
                logger.save()
        tables = getattr(getattr(trainer, "datamodule", None), "tables", None)
        self.report = RunReport(
            columns={
                "before training": bare(self._start_scores, "val"),
                "lead-1": self._lead_scores,
                f"best (step {record.get('best_step', 0):,})": bare(self._history.best_scores, "val"),
            },
            predictions=self._best_predictions,
            slices=self._best_table.slice_scores if self._best_table else (),
            lines=[
                f"best checkpoint: {checkpoint or ('none was written' if self._history.lines else _NO_VALIDATION)}",
                *([f"why: {choice}"] if choice else []),
                *filled_line(record.get("num_empty_predictions", 0)),
                *self._cells.lines(),
                *unfinished_line(self._best_predictions),
                f"run directory: {self.folders.run_dir}",
                *self._write_pages(self.folders.output_dir, table=self._best_table, tables=tables),
            ],
        )

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the best so far behind, or what an evaluation has generated, whatever ended it, and say so."""
        self.was_interrupted = isinstance(exception, KeyboardInterrupt)
        if not trainer.is_global_zero:
            return
        # What ended it must be told, and the checkpoint's turn is yet to come.
        with suppress(OSError):
            if trainer.state.fn != "fit":
                self.kept = keep_predictions(
                    predictions_so_far(pl_module), self.folders.output_dir, has_sources=self._has_sources
                )
            elif self._history.lines:
                self._write_validations(trainer)
        with suppress(OSError):
            self._end("interrupted" if self._is_stop(exception) else "failed")

    @staticmethod
    def _is_stop(exception: BaseException) -> bool:
        return isinstance(exception, (KeyboardInterrupt, SystemExit, Stopped)) or received() is not None

    def write_crash(self, error: BaseException) -> None:
        """Keep the traceback of an error that nobody foresaw with the run."""
        path = self.folders.output_dir / CRASH_FILE
        with suppress(OSError):  # perhaps what could not be written is the cause
            write_atomically(path, "".join(traceback.format_exception(error)))
            add_report_note(error, crash_file=path)

    def _write_fit_metrics(self, trainer: Trainer) -> None:
        self._written_checkpoint = best_checkpoint(trainer)
        with self._lost.go_on(METRICS_FILE):
            self._write_metrics(
                self._history.best_scores,
                prefixed(bare(self._start_scores, "val"), "start"),
                prefixed(self._lead_scores, "lead"),
                self._history.best_record,
                {"stage": "fit", "best_checkpoint": self._written_name(self._written_checkpoint)},
            )

    def _written_name(self, checkpoint: str | None) -> str | None:
        return written_name(checkpoint, folder=self.folders.output_dir) if checkpoint else None

    # Evaluation alone.

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and show scores and predictions of an evaluation."""
        command = command_of(trainer)
        stage = "val" if command == "validate" else command
        record = scored(pl_module).score_record()
        if not trainer.is_global_zero:
            return
        predictions: Sequence[Prediction] = scored(pl_module).predictions
        output_dir, run_dir = self.folders.output_dir, self.folders.run_dir
        num_filled = write_predictions(predictions, output_dir, cells=self._cells, has_sources=self._has_sources)
        slice_name, slice_line = evaluated_slice(trainer)
        # A part of the rows is no submission: the run keeps that of the last whole evaluation.
        is_copied = output_dir != run_dir and not slice_name
        if is_copied:
            for name in (SUBMISSION_FILE, PREDICTIONS_FILE):
                copy_atomically(output_dir / name, run_dir / name)
        scores = prefixed(bare(scores_of(trainer, pl_module), stage), stage)
        baseline = {} if stage == "predict" else baseline_scores(predictions, pl_module)
        checkpoint = str(trainer.ckpt_path) if trainer.ckpt_path else None
        added = {
            "num_empty_predictions": num_filled,
            "stage": stage,
            "best_checkpoint": self._written_name(checkpoint),
        }
        added |= {"slice": slice_name} if slice_name else {}
        added |= {} if self._has_sources else {NO_TEXT_KEY: True}
        self._write_metrics(scores, prefixed(baseline, "lead"), record, added)
        table = evaluated_table(pl_module)
        if table is not None:
            write_slices(table.slice_scores, output_dir, cells=self._cells)
        self._end("done")
        self.report = RunReport(
            columns={
                "lead-1": baseline,
                " ".join(filter(None, [stage, slice_name, f"(preset {record.get('preset')})"])): bare(scores, stage),
            },
            predictions=predictions if self._has_sources else (),
            slices=table.slice_scores if table else (),
            lines=[
                *([slice_line] if slice_line else []),
                f"checkpoint: {checkpoint or 'none; the model as the config makes it'}",
                *filled_line(num_filled, has_sources=self._has_sources),
                *self._cells.lines(),
                *unfinished_line(predictions),
                f"{len(predictions):,} summaries: {(run_dir if is_copied else output_dir) / SUBMISSION_FILE}",
                *([f"this evaluation: {output_dir}"] if output_dir != run_dir else []),
                f"run directory: {run_dir}",
                *self._write_pages(output_dir, table=table),
            ],
        )

    on_predict_end = on_test_end

    def _write_metrics(self, *parts: Mapping[str, Any]) -> None:
        values: dict[str, Any] = {}
        for part in parts:
            values |= part
        write_json(self.folders.output_dir / METRICS_FILE, {**values, "config_hash": self._config_hash})

    def _end(self, state: State) -> None:
        if self._record is not None:
            self._record = replace(self._record, state=state, ended=now())
            self._record.write(self.folders.output_dir)

    # What a resumed fit goes on with.

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """A checkpoint says by which config it was trained, wherever it is copied to."""
        checkpoint[CONFIG_KEY] = self._config_text

    def state_dict(self) -> dict[str, Any]:
        """Scores of the best validation so far, of the untrained model and of the baseline, as plain values."""
        compared = {"start_scores": dict(self._start_scores), "lead_scores": dict(self._lead_scores)}
        return {**self._history.state_dict(), **compared}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the best validation before the checkpoint."""
        self._history.load_state_dict(state_dict)
        self._start_scores = dict(state_dict["start_scores"])
        self._lead_scores = dict(state_dict["lead_scores"])
