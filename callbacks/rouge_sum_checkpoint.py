"""Keeps the checkpoints that summarize best, measured on generated text.

In: a fit whose validations log `val/rouge_sum`, or only `val/loss`. Out: `<run>/checkpoints/` with the k best and the
last, and a sentence that says which is best and why. Loss picks other checkpoints than quality does; here quality
decides.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from kosum_pl.checkpoints.last_step import LastStep, is_validation_due, owes_validation
from kosum_pl.checkpoints.loop_entry import LoopEntry
from kosum_pl.runs.files import CHECKPOINT_FOLDER
from kosum_pl.runs.memory_watch import part_of_step
from kosum_pl.signals import Stopped

_LOSS: Final = "val/loss"


class RougeSumCheckpoint(ModelCheckpoint):
    """Keep the `save_top_k` checkpoints with the highest `monitor`, and the last; of equal ones the earliest is best.

    Args:
        monitor: What decides, higher is better; the module logs it at every validation that generates.
        save_top_k: How many are kept beside the last; -1 keeps all.
        strategy: `each_validation` compares after every validation. `at_end` keeps the `save_top_k` with the lowest
            `val/loss` while training, where nothing needs to be generated (`model.generate_during_fit: false`), and
            after the last step generates with each of them over fit's validation rows (`data.num_eval_samples`).
        save_last: Whether `last.ckpt` is kept as well, to resume from: after every validation, at the end, and with
            the last complete step when an error or a signal ends the fit.
        save_every_minutes: `last.ckpt` is written between validations too, once so many minutes have passed since the
            last time, so that a kill loses no more; 0 writes it after every step, None never.
        save_weights_only: Leave out optimizer and loops: small files that `fit` cannot resume from.
        dirpath: Folder of the checkpoints; None for `checkpoints` in the run directory.

    Attributes:
        chosen_by: Name of the metric that decides in the end, and `max`.
        choice: The best checkpoint in words: which, by what, and against what.
        candidate_step: Step of the checkpoint that `at_end` is generating with; None at all other times.

    Raises:
        ValueError: When `fit` starts: no validation will log `monitor`, or there is no validation.
    """

    def __init__(
        self,
        monitor: str = "val/rouge_sum",
        *,
        save_top_k: int = 2,
        strategy: Literal["each_validation", "at_end"] = "each_validation",
        save_last: bool = True,
        save_every_minutes: float | None = None,
        save_weights_only: bool = False,
        dirpath: str | None = None,
    ) -> None:
        is_at_end = strategy == "at_end"
        if is_at_end and save_top_k in (0, 1):
            raise ValueError(f"RougeSumCheckpoint: save_top_k is {save_top_k}; at_end ranks at least 2 candidates")
        if save_every_minutes is not None and not 0 <= save_every_minutes < math.inf:
            raise ValueError(f"RougeSumCheckpoint: save_every_minutes is {save_every_minutes}; give minutes, or null")
        watched = _LOSS if is_at_end else monitor
        super().__init__(
            dirpath=dirpath,
            # The name without its slash: `val/rouge_sum=…` would make nested folders.
            filename=f"step={{step:06d}}-{watched.rpartition('/')[2]}={{{watched}:.{4 if is_at_end else 2}f}}",
            monitor=watched,
            mode="min" if is_at_end else "max",
            save_top_k=save_top_k,
            save_last=save_last,
            save_weights_only=save_weights_only,
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,
        )
        self.strategy = strategy
        self.chosen_by = (monitor, "max")
        self.choice = ""
        self.candidate_step: int | None = None
        self._steps: dict[str, int] = {}
        self._num_validations = 0
        self._resumed_from: str | None = None
        self._save_every_minutes = save_every_minutes
        self._last_step = LastStep()
        self._entry = LoopEntry()
        self._owes_validation = False
        self._saved_step: int | None = None
        self._saved_at = time.monotonic()

    # What the fit must offer.

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Settle the folder, and refuse at once a metric that no validation will log."""
        if self.dirpath is None:
            self.dirpath = os.path.join(trainer.default_root_dir, CHECKPOINT_FOLDER)
        super().setup(trainer, pl_module, stage)
        names = tuple(getattr(pl_module, "metric_names", ()))
        if stage == "fit" and self.monitor not in names:
            raise ValueError(_nobody_logs(str(self.monitor), names))

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Have a fit that was stopped after its last step do what is left: a validation, the ranking of candidates."""
        if self._owes_validation or self.strategy == "at_end":
            self._entry.open(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a fit without validation: nothing would ever be kept."""
        super().on_train_start(trainer, pl_module)
        if not (self._owes_validation and is_validation_due(trainer)):  # with another interval there is none to make
            self._entry.close(trainer)
        if not _validates(trainer):
            remedy = "set data.val_file" if trainer.limit_val_batches else "trainer.limit_val_batches is 0: raise it"
            raise ValueError(
                f"RougeSumCheckpoint chooses by {self.chosen_by[0]}, but this fit validates on nothing; "
                f"{remedy}, or take the callback out"
            )
        self._saved_at = time.monotonic()

    @property
    def saved_step(self) -> int | None:
        """Step of `last.ckpt` as this fit wrote it; None before the first time."""
        return self._saved_step

    # What is kept while training.

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note a step that is complete, and keep it as the last where the time for it has come."""
        self._last_step.note(trainer)
        if not self._last_step.can_save(trainer) or self._saved_step == trainer.global_step:
            return
        minutes = self._save_every_minutes
        is_time = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        if minutes is not None and trainer.world_size > 1:
            is_time = trainer.strategy.reduce_boolean_decision(is_time, all=False)
        if is_time:
            self._save_last_step(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Keep the last complete step, whatever ended the fit."""
        # Of several ranks only a signal stops all at the same batch; after an error the others do not come to save.
        is_alone = trainer.world_size > 1 and not isinstance(exception, Stopped)
        if trainer.state.fn != "fit" or is_alone or self._saved_step == self._last_step.step:
            return
        is_torn = part_of_step(exception) == "update"
        if is_torn or not self._last_step.can_save(trainer):
            whose = "the next" if is_torn else "its"
            rank_zero_warn(f"last.ckpt is not of step {trainer.global_step:,}: the error came within {whose} update")
            return
        try:
            self._save_last_step(trainer)
        except Exception as error:  # what ended the fit is what must be told
            rank_zero_warn(f"step {trainer.global_step:,} is lost: {error}")

    def _save_last_step(self, trainer: Trainer) -> None:
        """Write `last.ckpt` of the last complete step."""
        if not self.save_last or getattr(trainer, "fast_dev_run", False):
            return
        path = self.format_checkpoint_name(self._monitor_candidates(trainer), self.CHECKPOINT_NAME_LAST)
        self.last_model_path = path
        self._last_step.save(trainer, path)
        self._note_saved(trainer)

    def _save_last_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        super()._save_last_checkpoint(trainer, monitor_candidates)
        self._note_saved(trainer)

    def _note_saved(self, trainer: Trainer) -> None:
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The validation that was left has begun: from here on the fit ends where it would have."""
        self._owes_validation = False
        self._entry.close(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the validation that just ended, keep it if it is among the best, and keep it as the last."""
        if self.candidate_step is not None or self._should_skip_saving_checkpoint(trainer):
            return
        self._num_validations += 1
        metrics = self._monitor_candidates(trainer)
        self._save_topk_checkpoint(trainer, metrics)
        self._save_last_checkpoint(trainer, metrics)
        if self.best_model_path:
            self.choice = explain_choice(
                {self._steps[path]: float(score) for path, score in self.best_k_models.items()},
                best=self._steps[self.best_model_path],
                monitor=str(self.monitor),
                is_lower_better=self.mode == "min",
                basis=f"of {self._num_validations} validations",
            )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the last step too, and rank the candidates if that was put off."""
        if getattr(trainer, "fast_dev_run", False):
            return
        # A resume that had no step to take has the file that it went on from.
        if self._last_step.can_save(trainer) and self._last_global_step_saved != trainer.global_step:
            self._save_last_step(trainer)
        if self.strategy == "at_end" and self.best_k_models:
            self._rank_candidates(trainer, pl_module)

    def _update_best_and_save(self, current: Tensor, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        self._steps[self.format_checkpoint_name(monitor_candidates)] = int(monitor_candidates["step"])
        super()._update_best_and_save(current, trainer, monitor_candidates)

    # What is chosen after the last step.

    def _rank_candidates(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate with every candidate's weights, generating; the highest score is the best."""
        name = self.chosen_by[0]
        module: Any = pl_module
        generates = module.generate_during_fit
        last_weights = {
            key: value.detach().to("cpu", copy=True)
            for key, value in trainer.strategy.lightning_module_state_dict().items()
        }
        paths = {self._steps[path]: path for path in sorted(self.best_k_models, key=self._steps.__getitem__)}
        scores: dict[int, float] = {}
        try:
            module.generate_during_fit = True
            with isolate_rng():
                for self.candidate_step, path in paths.items():
                    _load_weights(trainer, pl_module, trainer.strategy.load_checkpoint(path, weights_only=True))
                    _validate(trainer)
                    if name not in trainer.callback_metrics:
                        raise ValueError(_nobody_logs(name, tuple(trainer.callback_metrics)))
                    scores[self.candidate_step] = float(trainer.callback_metrics[name])
        finally:
            trainer.strategy.load_model_state_dict({"state_dict": last_weights}, strict=pl_module.strict_loading)
            module.generate_during_fit = generates
            self.candidate_step = None
        # `max` takes the first of equal ones, and they stand in the order of their steps.
        best = max(scores, key=scores.__getitem__)
        self.best_model_path = paths[best]
        self.choice = explain_choice(
            scores,
            best=best,
            monitor=name,
            is_lower_better=False,
            basis=f"of {len(scores)} candidates, kept by {_LOSS} and generated with after the last step",
        )

    # What a resumed fit goes on with.

    def state_dict(self) -> dict[str, Any]:
        """What Lightning keeps, and the steps of the kept checkpoints; files by their names, as a run may be moved."""
        state = {**super().state_dict(), "steps": dict(self._steps), "num_validations": self._num_validations}
        return {**_with_paths(state, os.path.basename), "dirpath": None}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note where the checkpoint lies, before its state is loaded, and what is left to do of its last step."""
        self._resumed_from = os.path.dirname(os.path.realpath(str(trainer.ckpt_path)))
        self._owes_validation = owes_validation(checkpoint)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint stopped; another run's checkpoints are not this run's to compare with.

        A checkpoint that lies in this run's folder is of this run, wherever the two lay when it was written.
        """
        folder = str(self.dirpath)
        if os.path.realpath(folder) != self._resumed_from:
            return
        # Paths of older runs are absolute.
        state = _with_paths(state_dict, lambda path: os.path.join(folder, os.path.basename(path)))
        super().load_state_dict({**state, "dirpath": self.dirpath})
        self._steps = state.get("steps", {})
        self._num_validations = int(state.get("num_validations", 0))


def explain_choice(scores: Mapping[int, float], *, best: int, monitor: str, is_lower_better: bool, basis: str) -> str:
    """Say which checkpoint is best and why.

    Example:
        >>> explain_choice({100: 80.5, 200: 91.25}, best=200, monitor="val/rouge_sum", is_lower_better=False,
        ...                basis="of 5 validations")
        'step 200: highest val/rouge_sum of 5 validations, 91.25; the next is 80.50 at step 100'
    """
    text = f"step {best:,}: {'lowest' if is_lower_better else 'highest'} {monitor} {basis}, {scores[best]:.2f}"
    sign = 1 if is_lower_better else -1
    others = sorted((sign * score, step) for step, score in scores.items() if step != best)
    if not others:
        return text
    score, step = others[0]
    tie = ", and the earlier of equal ones is taken" if sign * score == scores[best] else ""
    return f"{text}; the next is {sign * score:.2f} at step {step:,}{tie}"


def _with_paths(state: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The state with every path of a checkpoint changed; an empty one says that there is none."""
    changed = dict(state)
    for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
        changed[name] = change(state[name]) if state.get(name) else ""
    for name in ("best_k_models", "steps"):
        changed[name] = {change(path): value for path, value in state.get(name, {}).items()}
    return changed


def _validates(trainer: Trainer) -> bool:
    """Whether this fit has rows to validate on."""
    if trainer.val_dataloaders is not None:
        return sum(trainer.num_val_batches) > 0
    # Lightning opens the loaders in the first epoch that validates, which `check_val_every_n_epoch` may put off.
    datamodule = getattr(trainer, "datamodule", None)
    return trainer.limit_val_batches != 0 and (datamodule is None or len(datamodule.val_dataloader()) > 0)


def _load_weights(trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
    pl_module.on_load_checkpoint(checkpoint)
    trainer.strategy.load_model_state_dict(checkpoint, strict=pl_module.strict_loading)


def _validate(trainer: Trainer) -> None:
    """One validation inside fit, as Lightning's own epoch loop runs it."""
    connector = trainer._logger_connector
    first_loop_iter = connector._first_loop_iter
    trainer.validating = True
    val_loop = trainer.fit_loop.epoch_loop.val_loop
    val_loop.restarting = False
    val_loop.run()
    trainer.training = True
    connector._first_loop_iter = first_loop_iter


def _nobody_logs(name: str, known: tuple[str, ...]) -> str:
    generate = "; val/rouge_sum needs model.generate_during_fit: true, or strategy: at_end" if "rouge" in name else ""
    return f"RougeSumCheckpoint monitors '{name}', which no validation logs; logged are {', '.join(known)}{generate}"
