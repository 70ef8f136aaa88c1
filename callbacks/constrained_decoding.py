"""Switches the module's constraint on by stage, and says which one serves.

In: a module with `model.constraint`. Out: the same module, constrained in the stages that are listed and free in the
others. What may be said belongs to the model and travels with it; when it is enforced is a matter of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from lightning.pytorch import Callback, LightningModule, Trainer

from kosum_pl.decode.rules import DecodingRules
from kosum_pl.modules import SummarizationModule

STAGES: Final = ("validation", "test", "predict")


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
        self._said = ""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Switch for `validate`, and for validation inside `fit`."""
        self._switch(trainer, pl_module, "validation")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Switch for `test`."""
        self._switch(trainer, pl_module, "test")

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Switch for `predict`."""
        self._switch(trainer, pl_module, "predict")

    def _switch(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        rules = _rules(pl_module)
        rules.is_constrained = rules.settings is not None and stage in self.stages
        said = f"{stage}: {_in_words(rules)}"
        # Inside `fit` a validation comes every epoch and says the same each time.
        if trainer.is_global_zero and said != self._said:
            print(said)
        self._said = said

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the module as its config says."""
        _restore(pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the module as its config says."""
        _restore(pl_module)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the module as its config says."""
        _restore(pl_module)


def _rules(pl_module: LightningModule) -> DecodingRules:
    if not isinstance(pl_module, SummarizationModule):
        raise ValueError(
            f"ConstrainedDecoding: {type(pl_module).__name__} is no SummarizationModule; take the callback out"
        )
    return pl_module.evaluation.summarizer.rules


def _restore(pl_module: LightningModule) -> None:
    rules = _rules(pl_module)
    rules.is_constrained = rules.settings is not None


def _in_words(rules: DecodingRules) -> str:
    if rules.settings is None or not rules.is_constrained:
        return "no constraint, anything may be generated"
    return f"constraint {rules.settings}"
