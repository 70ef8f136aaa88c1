"""Puts the weights of an earlier run into a new one; the command line adds it to `fit --init_from`.

In: a checkpoint file or an exported folder. Out: a module with those weights. Optimizer, schedule, loops and random
state stay those of a fresh run.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from kosum_pl.checkpoints.lineage import OPTION
from kosum_pl.checkpoints.weights import LoadableModule, load_start_weights
from kosum_pl.errors import UsageError
from kosum_pl.terminal import say


class StartWeights(Callback):
    """Load weights once, after the model was made and before anything is validated or trained, on every rank."""

    def __init__(self, weights: Path) -> None:
        self.weights = weights

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Load them; the optimizer refers to the same parameters and has not stepped yet."""
        if not isinstance(trainer.strategy, (SingleDeviceStrategy, DDPStrategy)):
            # Sharded strategies keep weights of their own, and would go on with those.
            name = type(trainer.strategy).__name__
            raise UsageError(f"{OPTION} does not work with {name}; use trainer.strategy=auto or ddp")
        load_start_weights(cast(LoadableModule, pl_module), self.weights)
        if trainer.is_global_zero:
            say(f"weights from {self.weights}")
