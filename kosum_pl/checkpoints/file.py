"""How a Trainer of the command line saves checkpoints, and loads them.

In: what a Trainer saves, and where; or a file. Out: the file, whole or not there; or its content, looked at before
anything in it is believed.

Lightning writes to the folder for temporary files and moves the result, which copies over the old file where that
folder lies on another file system: a kill in the copy leaves no checkpoint at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from kosum_pl.checkpoints.content import NonFiniteWeightsError, first_non_finite, read_checkpoint
from kosum_pl.errors import UsageError, one_line
from kosum_pl.files import replacing

_LEFT_OVER: Final = ".*.ckpt-????????"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Saves beside the old file and replaces it when all is on the disk; loads what has every byte as it was written.

    Raises:
        ValueError: On saving weights that are not finite, or to a disk that is full; on loading such weights, a torn
            file or one that is no checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; the old file of this name goes only when the new one is safe."""
        if storage_options is not None:
            raise TypeError("AtomicCheckpointIO writes to a file system, and takes no storage_options")
        found = first_non_finite(checkpoint.get("state_dict", {}))
        if found is not None:
            raise NonFiniteWeightsError(f"{path}: not written, as '{found}' holds NaN or infinity")
        try:
            for left_over in Path(path).parent.glob(_LEFT_OVER):  # of a writer that was killed; a run has one writer
                left_over.unlink(missing_ok=True)
            with replacing(Path(path)) as temporary:
                torch.save(checkpoint, temporary)
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError of a full disk
            reason = error.strerror if isinstance(error, OSError) else "its writer failed, as on a full disk"
            raise UsageError(
                f"{path} cannot be written ({reason or one_line(str(error))}); the earlier file is as it was: make "
                "room, or give another folder with --runs_dir"
            ) from error

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = None) -> dict[str, Any]:
        """The content of a checkpoint, checked."""
        return read_checkpoint(Path(path), is_mapped=False)
