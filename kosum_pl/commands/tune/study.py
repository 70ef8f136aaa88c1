"""The search: trials one after the other, kept in a file, and which of them is taken.

In: a scorer of rows, a search space and presets to start from. Out: finished trials with a score a row. The file holds
all that the search needs: one that was stopped and goes on tries the same presets as one that was not.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from kosum_pl.commands.tune.rows import RowScorer
from kosum_pl.commands.tune.space import Knob, Params, choose_params, params_of, preset_from, put_back
from kosum_pl.decode import DecodingPreset
from kosum_pl.errors import UsageError

_PARAMS, _SCORES, _NOTE, _IS_SEARCHED, _IS_REFUSED = "preset", "row_scores", "note", "is_searched", "is_refused"
_FINISHED: Final = (TrialState.COMPLETE, TrialState.PRUNED)
_RANDOM_TRIALS: Final = 10  # Before the search learns from what was tried.
_MOST_ASKED: Final = 20  # Presets asked for, refused ones among them, for one that is tried.
_SURE_TRIALS: Final = 5  # Run to their end whatever they score, so that a median means something.


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Tried:
    """A finished trial.

    Attributes:
        number: From 1 on.
        score: Mean `rouge_sum`; of the rows it reached where it was stopped.
        row_scores: Of every row, in the scorer's order; None where it was stopped.
        note: What else there is to say: stopped where, tried before, which field was put back.
        is_searched: Whether the search asked for it, and not the simplification at its end.
    """

    number: int
    params: Params
    score: float = float("nan")
    row_scores: np.ndarray | None = None
    note: str = ""
    is_searched: bool = True


def open_study(path: Path, *, name: str) -> optuna.Study:
    """The study of a name in an SQLite file; both are made where they do not exist.

    Raises:
        ValueError: The file is no study.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}")
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_SURE_TRIALS, n_min_trials=_SURE_TRIALS),
        )
    except Exception as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"--study {path} cannot be read as a study ({reason}); name another file") from error


class Search:
    """Tries presets.

    Args:
        base: The preset that is tuned; what is not searched is taken from it.
        first: Presets to try first.
        allows: Whether a preset may be proposed; one that may not is refused before it generates, and is no trial.

    Attributes:
        taken: What `simplify` has left of the best trial.
    """

    taken: Tried

    def __init__(
        self,
        study: optuna.Study,
        scorer: RowScorer,
        *,
        space: Sequence[Knob],
        base: DecodingPreset,
        first: Sequence[DecodingPreset],
        allows: Callable[[DecodingPreset], bool],
        seed: int,
    ) -> None:
        self._study, self._scorer, self._space, self._base, self._seed = study, scorer, space, base, seed
        self._allows = allows
        self._first = list({_key(params): params for params in (params_of(p, space) for p in first)}.values())

    @property
    def tried(self) -> list[Tried]:
        """All finished trials, in order; those that were refused are none."""
        finished = [trial for trial in self._finished if not trial.user_attrs.get(_IS_REFUSED)]
        return [_read(trial, number=number) for number, trial in enumerate(finished, 1)]

    @property
    def num_refused(self) -> int:
        """Presets that the search asked for and that may not be proposed."""
        return sum(bool(trial.user_attrs.get(_IS_REFUSED)) for trial in self._finished)

    @property
    def _finished(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=_FINISHED)

    def run(self, num_trials: int) -> Iterator[Tried]:
        """Trials until the search has finished so many in all.

        Raises:
            UsageError: Hardly any preset may be proposed.
        """
        while sum(tried.is_searched for tried in self.tried) < num_trials:
            number = 1 + sum(trial.user_attrs.get(_IS_SEARCHED, True) for trial in self._finished)
            if number > _MOST_ASKED * num_trials:
                reason = f"{self.num_refused} of {number - 1} presets leave fewer references sayable than the default"
                raise UsageError(f"{reason}; take a wider slice, or a default preset that forbids less")
            # Seeded by the trial and not by the process: going on is the same as never having stopped.
            self._study.sampler = optuna.samplers.TPESampler(
                seed=self._seed * 1_000_003 + number, n_startup_trials=_RANDOM_TRIALS
            )
            if number <= len(self._first):
                self._study.enqueue_trial(self._first[number - 1])
            tried = self._finish(self._study.ask())
            if tried is not None:
                yield tried

    def simplify(self) -> Iterator[Tried]:
        """Put fields of the best trial back to what serves today, one after the other, where that costs nothing sure.

        The best of forty presets on a hundred rows owes some of its fields to luck. One is put back where the rows
        cannot tell: where they score within one standard error of the best. Rows are shared, so that this is the error
        of the difference, far smaller than that of either mean.

        Source:
            The one-standard-error rule: Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees",
            1984.
        """
        best, best_scores = best_of([tried for tried in self.tried if tried.is_searched])
        self.taken = best
        start = params_of(self._base, self._space)
        for knob in reversed(self._space):
            params = put_back(self.taken.params, start, knob=knob, space=self._space)
            if params == self.taken.params:
                continue
            tried = self._known().get(_key(params))
            if tried is None:
                self._study.enqueue_trial(params)
                tried = self._finish(self._study.ask(), note=f"{knob.name} put back")
                if tried is None:
                    continue
                yield tried
            if tried.row_scores is not None and is_near(best_scores, tried.row_scores):
                self.taken = tried

    def _known(self) -> dict[str, Tried]:
        """Trials by what they tried, the first of equals."""
        return {_key(tried.params): tried for tried in reversed(self.tried)}

    def _finish(self, trial: Trial, *, note: str = "") -> Tried | None:
        """Run a trial and keep it; None where its preset is refused."""
        try:
            params = choose_params(trial, self._space)
            trial.set_user_attr(_PARAMS, params)
            trial.set_user_attr(_IS_SEARCHED, not note)
            if not self._allows(preset_from(params, base=self._base)):
                trial.set_user_attr(_IS_REFUSED, True)
                self._study.tell(trial, state=TrialState.PRUNED)
                return None
            tried = self._try(trial, params, note=note)
        except BaseException:
            self._study.tell(trial, state=TrialState.FAIL)
            raise
        trial.set_user_attr(_NOTE, tried.note)
        if tried.row_scores is None:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr(_SCORES, tried.row_scores.tolist())
            self._study.tell(trial, tried.score)
        return tried

    def _try(self, trial: Trial, params: Params, *, note: str) -> Tried:
        number = len(self.tried) + 1
        before = self._known().get(_key(params))
        if before is None:
            return self._generate(trial, Tried(number=number, params=params, note=note, is_searched=not note))
        if before.row_scores is None:
            trial.report(before.score, step=1)
        return replace(before, number=number, note=f"as trial {before.number}", is_searched=not note)

    def _generate(self, trial: Trial, tried: Tried) -> Tried:
        preset = preset_from(tried.params, base=self._base)
        scores, total = np.empty(0), self._scorer.num_batches
        for step, scores in enumerate(self._scorer.running_scores(preset), 1):
            trial.report(float(scores.mean()), step=step)
            if step < total and tried.is_searched and trial.should_prune():
                return replace(tried, score=float(scores.mean()), note=f"stopped after {step} of {total} batches")
        ordered = self._scorer.in_row_order(scores)
        return replace(tried, score=float(ordered.mean()), row_scores=ordered)


def best_of(tried: Sequence[Tried]) -> tuple[Tried, np.ndarray]:
    """The trial with the highest mean, the first of equals, and its score a row."""
    complete = [(trial, trial.row_scores) for trial in tried if trial.row_scores is not None]
    return max(complete, key=lambda item: (item[0].score, -item[0].number))


def is_near(best: np.ndarray, scores: np.ndarray) -> bool:
    """Whether the second scores are behind the first by no more than one standard error of their difference.

    Example:
        >>> best = np.array([3.0, 5.0, 1.0])
        >>> is_near(best, np.array([4.0, 3.0, 1.0])), is_near(best, best - 0.1)
        (True, False)
    """
    behind = best - scores
    error = behind.std(ddof=1) / np.sqrt(len(behind)) if len(behind) > 1 else 0.0
    return bool(behind.mean() <= error)


def _read(trial: FrozenTrial, *, number: int) -> Tried:
    scores: Any = trial.user_attrs.get(_SCORES)
    last = trial.intermediate_values.get(trial.last_step, float("nan")) if trial.last_step is not None else float("nan")
    return Tried(
        number=number,
        params=dict(trial.user_attrs[_PARAMS]),
        score=float(trial.value) if trial.value is not None else float(last),
        row_scores=None if scores is None else np.asarray(scores, dtype=np.float64),
        note=str(trial.user_attrs.get(_NOTE, "")),
        is_searched=bool(trial.user_attrs.get(_IS_SEARCHED, True)),
    )


def _key(params: Params) -> str:
    return json.dumps(params, sort_keys=True)
