"""Switches the module's constraint on by stage, and says which one serves.

In: a module with `model.constraint`. Out: the same module, constrained in the stages that are listed and free in the
others. What may be generated belongs to the model and travels with it; when it is enforced is a matter of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from lightning.pytorch import Callback, LightningModule, Trainer

from kosum_pl.decode import STAGES, DecodingSettings
from kosum_pl.modules import SummarizationModule
from kosum_pl.terminal import say

_FREE: Final = "no constraint, anything may be generated"


class ConstrainedDecoding(Callback):
    """Constrain what is generated in some stages.

    Without this callback a module with a constraint is constrained in all of them. With `model.constraint: null` it
    does nothing, so that one flag compares a run with and without.

    Args:
        stages: Out of `validation` (also inside `fit`), `test` and `predict`.

    Raises:
        ValueError: An unknown stage.

    Example:
        >>> ConstrainedDecoding(stages=["predict"]).stages
        ('predict',)
        >>> ConstrainedDecoding(stages=["fit"])
        Traceback (most recent call last):
        ValueError: ConstrainedDecoding.stages holds 'fit'; known: validation, test, predict
    """

    def __init__(self, stages: Sequence[str] = STAGES) -> None:
        for stage in [stages] if isinstance(stages, str) else stages:
            if stage not in STAGES:
                raise ValueError(f"ConstrainedDecoding.stages holds '{stage}'; known: {', '.join(STAGES)}")
        self.stages = (stages,) if isinstance(stages, str) else tuple(stages)
        self._given: DecodingSettings | None = None
        self._printed = ""

    def change_decoding(self, decoding: DecodingSettings) -> DecodingSettings:
        """The same settings with the constraint on in these stages."""
        return replace(decoding, constrained_stages=self.stages)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Switch, for all that follows."""
        module = _checked(pl_module)
        self._given = module.decoding
        module.decoding = self.change_decoding(module.decoding)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the module as its config says."""
        if self._given is not None:
            _checked(pl_module).decoding = self._given

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell what serves `validate`, or validation inside `fit`."""
        self._print(trainer, pl_module, "validation")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell what serves `test`."""
        self._print(trainer, pl_module, "test")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell what serves `predict`."""
        self._print(trainer, pl_module, "predict")

    def _print(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        decoding = _checked(pl_module).decoding
        words = f"constraint {decoding.constraint}" if decoding.is_constrained(stage) else _FREE
        line = f"{stage}: {words}"
        # Inside `fit` a validation comes every epoch and says the same each time.
        if trainer.is_global_zero and line != self._printed:
            say(line)
        self._printed = line


def _checked(pl_module: LightningModule) -> SummarizationModule:
    if not isinstance(pl_module, SummarizationModule):
        raise ValueError(
            f"ConstrainedDecoding: {type(pl_module).__name__} is no SummarizationModule; take the callback out"
        )
    return pl_module
