"""What a fit was computing when its memory ran out.

In: a Trainer's batches, and the error that ended it. Out: one sentence: step, part of the step, batch and rows. Of a
batch only ids and shapes are noted, so that nothing waits for the device and no tensor lives longer.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import RunningStage

from kosum_pl.errors import is_out_of_memory, memory_statement

Part = Literal["forward", "backward", "clipping", "update", ""]
Place = Literal["start", "training", "update", "validation"]
_NUM_NAMED: Final = 8
_PARTS: Final = {
    "forward": " in its forward pass",
    "backward": " in its backward pass",
    "clipping": " while its gradients were clipped",
    "update": " in its update, where an optimizer makes its state",
    "": "",
}


@dataclass(frozen=True, slots=True)
class _Noted:
    """A batch's ids, and its shape in words."""

    example_ids: Sequence[str]
    shape: str

    @property
    def text(self) -> str:
        names = ", ".join(self.example_ids[:_NUM_NAMED])
        num_others = len(self.example_ids) - _NUM_NAMED
        more = f" and {num_others:,} more" if num_others > 0 else ""
        word = "row" if len(self.example_ids) == 1 else "rows"
        return f", at a batch of {self.shape} ({word} {names}{more})"


class MemoryWatch(Callback):
    """Says what was being computed when the memory of a fit ran out.

    Attributes:
        problem: The sentence; empty as long as there is nothing to say.
        place: Where it was.
        num_rows: Of the batch; 0 where it was at none.
    """

    def __init__(self) -> None:
        self.problem = ""
        self.place: Place = "start"
        self.num_rows = 0
        self._noted: _Noted | None = None
        self._has_begun = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on there are steps."""
        self._has_begun = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the batch that is about to be computed."""
        self._noted = _note(batch)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The same."""
        self._noted = _note(batch)

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Nothing is being computed now."""
        self._noted = None

    on_validation_batch_end = on_train_batch_end

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say it, while the Trainer still knows what it was at."""
        if not is_out_of_memory(exception):
            return
        statement, batch = f"({memory_statement(exception)})", "" if self._noted is None else self._noted.text
        self.num_rows = 0 if self._noted is None else len(self._noted.example_ids)
        step, stage = trainer.global_step, trainer.state.stage
        if stage is RunningStage.SANITY_CHECKING:
            self.place, what = "validation", f"memory ran out in the sanity check {statement}"
        elif stage is RunningStage.VALIDATING:
            self.place, what = "validation", f"memory ran out in the validation after step {step:,} {statement}"
        elif not self._has_begun:
            what = f"memory ran out before the first step, while model and optimizer were set up {statement}"
        elif self._noted is None:
            self.place, what = "training", f"memory ran out between batches, after step {step:,} {statement}"
        else:
            part = part_of_step(exception)
            self.place = "update" if part == "update" else "training"
            what = f"memory ran out at step {step + 1:,}{_PARTS[part]} {statement}"
        self.problem = f"{what}{batch}"


def part_of_step(error: BaseException) -> Part:
    """In which part of an optimizer step an error was raised; empty outside of one.

    In an `update` weights and the optimizer's state may be those of two steps at once.
    """
    names = {frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)}
    if "training_step" in names:
        return "forward"
    if "backward" in names:
        return "backward"
    if "_after_closure" in names:
        return "clipping"
    return "update" if "optimizer_step" in names and "closure" not in names else ""


def _note(batch: Any) -> _Noted | None:
    """A batch of ours; None for anything else."""
    ids, inputs, labels = (getattr(batch, name, None) for name in ("example_ids", "input_ids", "labels"))
    if ids is None or inputs is None:
        return None
    shape = f"{len(ids)} {'row' if len(ids) == 1 else 'rows'} x {inputs.shape[1]:,} tokens"
    if labels is not None and labels.shape[1] != inputs.shape[1]:
        shape += f" and summaries of {labels.shape[1]:,}"
    return _Noted(ids, shape)
