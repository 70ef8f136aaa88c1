"""The random state of every rank, so that a resumed run drops out what the uninterrupted one would have.

In: nothing, or what a checkpoint holds. Out: tensors that load with `weights_only=True`. Lightning's checkpoints
hold loops and loaders, not the generators that dropout draws from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def own_random_state() -> dict[str, Tensor]:
    """Generator states of this rank, now."""
    own = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        own["cuda"] = torch.cuda.get_rng_state()
    return own


def gather_random_states(own: dict[str, Tensor] | None = None) -> list[dict[str, Tensor]]:
    """States of all ranks, in the order of ranks; to be called by every rank, with its `own` or those of now."""
    own = own_random_state() if own is None else own
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [own]
    states: list[dict[str, Tensor]] = [{} for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(states, own)
    return states


def restore_random_state(states: Sequence[Mapping[str, Tensor]], *, rank: int) -> None:
    """Set this rank's generators to what they were when `gather_random_states` ran.

    Where the number of ranks has changed, exactness is lost anyway: a rank without a state keeps the one it has.
    """
    if rank >= len(states):
        return
    torch.set_rng_state(states[rank]["cpu"].cpu())
    if "cuda" in states[rank] and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[rank]["cuda"].cpu())
