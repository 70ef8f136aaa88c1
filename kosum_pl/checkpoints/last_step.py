"""The last complete optimizer step of a fit, as a checkpoint to go on from exactly, whenever it is written.

In: a Trainer after each step. Out: a checkpoint file. What Lightning saves in the middle of a step, of a validation or
of an exception says where the loops stand at that moment, which is nowhere one could go on from: rows that were fetched
and not learnt from would be left out, and a validation that was begun would be ended with the rows that are left. So
the loops' counts and the random states are noted when a step is complete, and stand in the checkpoint instead; weights
and optimizer change in a step alone.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final
from unittest.mock import patch

from lightning.pytorch import Trainer

from kosum_pl.checkpoints.random_state import gather_random_states, own_random_state
from kosum_pl.checkpoints.record import RECORD_KEY

_VALIDATION: Final = "epoch_loop.val_loop.batch_progress"
_BEGUN: Final = {"ready": 1, "started": 1, "processed": 0, "completed": 0}


class LastStep:
    """What a checkpoint of the last complete step needs beside weights and optimizer.

    Attributes:
        step: Its number; None before the first.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self._loops: dict[str, Any] = {}
        self._other_loops: dict[str, Any] = {}
        self._random_state: dict[str, Any] = {}

    def note(self, trainer: Trainer) -> None:
        """Call when a batch has ended; it is noted once all batches of its step have.

        A validation that is due now and has not begun is due again after a resume.
        """
        if trainer.global_step == self.step or trainer.fit_loop._should_accumulate():
            return
        # Copied: some of the loaders' states are their own objects, and change.
        loops = copy.deepcopy(trainer._checkpoint_connector._get_loops_state_dict())
        self._loops, self._other_loops = loops.pop("fit_loop"), loops
        if is_validation_due(trainer):
            _promise_validation(self._loops)
        self._random_state = own_random_state()
        self.step = trainer.global_step

    def can_save(self, trainer: Trainer) -> bool:
        """Whether the weights are those of the step that was noted: no update has begun since."""
        return self.step is not None and self.step == trainer.global_step

    def save(self, trainer: Trainer, path: str) -> None:
        """Write the checkpoint; to be called on all ranks.

        Raises:
            ValueError: The weights are not finite.
            OSError: The file cannot be written.
        """
        # Not Lightning's and then replaced: loaders whose workers have died cannot say where they stand.
        connector = trainer._checkpoint_connector
        with patch.object(connector, "_get_loops_state_dict", lambda: {**self._other_loops, "fit_loop": self._loops}):
            checkpoint = connector.dump_checkpoint(weights_only=False)
        if RECORD_KEY in checkpoint:
            checkpoint[RECORD_KEY]["random_states"] = gather_random_states(self._random_state)
        trainer.strategy.save_checkpoint(checkpoint, path)
        trainer.strategy.barrier("LastStep.save")


def owes_validation(checkpoint: Mapping[str, Any]) -> bool:
    """Whether the validation after a checkpoint's step had not begun, and is promised to a resume."""
    loops = checkpoint.get("loops", {}).get("fit_loop", {})
    return bool(loops.get(_VALIDATION, {}).get("current") == _BEGUN)


def is_validation_due(trainer: Trainer) -> bool:
    """Whether Lightning validates after this batch; one that a clock asks for is due when the clock says so."""
    loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
    if fetcher is None or getattr(trainer, "_val_check_time_interval", None) is not None:
        return False
    return bool(loop._should_check_val_fx(fetcher))


def _promise_validation(loops: dict[str, Any]) -> None:
    """Say that the batch is done and its validation stands at its beginning, which a resume then goes back to."""
    progress = loops["epoch_loop.batch_progress"]
    for counts in (progress["total"], progress["current"]):
        counts["completed"] = counts["processed"]
    loops[_VALIDATION] = {"total": dict(_BEGUN), "current": dict(_BEGUN), "is_last_batch": False}
