"""Weights of a checkpoint in a module, where no Trainer puts them there.

In: a module without weights and a checkpoint. Out: the same module as `predict` would have it. The checkpoint's own
checks run too, so that an adapter never lands on a base that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything

from kosum_pl.errors import UsageError, checkpoint_misfit
from kosum_pl.modules import SummarizationModule


def load_weights(module: SummarizationModule, checkpoint: Path, *, seed: int | None = None) -> None:
    """Give a module its base's weights and, over them, a checkpoint's; then put it into evaluation mode.

    Args:
        module: As its config builds it; changed in place.
        checkpoint: A file that `fit` has written.
        seed: The run's, for random weights that the checkpoint leaves out: those under an adapter.

    Raises:
        ValueError: The file is no checkpoint, or of another model or base.
    """
    content = read_checkpoint(checkpoint)
    if module.source.random_init and seed is not None:
        seed_everything(seed, verbose=False)
    module.configure_model()
    module.on_load_checkpoint(content)
    try:
        module.load_state_dict(content["state_dict"], strict=module.strict_loading)
    except RuntimeError as error:
        misfit = checkpoint_misfit(error, str(checkpoint))
        if misfit is None:
            raise
        raise misfit from error
    module.eval()


def read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """A checkpoint's content on the CPU, memory-mapped: optimizer states that nobody asks for are never read.

    Args:
        checkpoint: A file that `fit` has written.

    Raises:
        ValueError: It is a folder of shards, or holds no weights of a module.
    """
    if checkpoint.is_dir():
        raise UsageError(f"checkpoint {checkpoint} is a folder of shards; train without sharding, or give a .ckpt file")
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(content, dict) or "state_dict" not in content:
        raise UsageError(f"{checkpoint} holds no weights of a module; give a checkpoint that fit has written")
    return content


def seed_of(config: Mapping[str, Any]) -> int | None:
    """The seed that a config's run began with; None where it was drawn.

    Args:
        config: Resolved, as plain values.
    """
    seed = config.get("seed_everything")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None
