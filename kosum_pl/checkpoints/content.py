"""What a checkpoint file holds, or one line that says that it is none.

In: a path that may lead to anything: an archive of something else, a pickle with code in it, a tensor, a device. Out:
the plain values of a checkpoint that Lightning has written. Nothing of a file is ever run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from kosum_pl.checkpoints.checksums import check_bytes
from kosum_pl.errors import UsageError, one_line

_REMEDY: Final = "give a checkpoint that fit has written"
_CODE: Final = re.compile(r"unsupported (?:global: |class )?GLOBAL (\S+)", re.IGNORECASE)
_VERSION_KEY: Final = "pytorch-lightning_version"
_MAX_REASON: Final = 120


class NonFiniteWeightsError(UsageError):
    """Weights that hold NaN or infinity: nothing is trained, or generated, from them."""


def read_checkpoint(path: Path, *, is_mapped: bool = True) -> dict[str, Any]:
    """As `read_content`, with the file named in what is raised."""
    if path.is_dir():
        raise UsageError(f"checkpoint {path} is a folder of shards; train without sharding, or give a .ckpt file")
    try:
        return read_content(path, is_mapped=is_mapped)
    except NonFiniteWeightsError as error:
        raise NonFiniteWeightsError(f"checkpoint {path}: {error}") from error
    except ValueError as error:
        raise UsageError(f"checkpoint {path}: {error}") from error


def read_content(path: Path, *, is_mapped: bool = True) -> dict[str, Any]:
    """A checkpoint's values on the CPU, every byte as it was written and every weight a finite number.

    Where the file is mapped, optimizer states that nobody asks for take no memory.

    Raises:
        ValueError: The file is no checkpoint, damaged, or of weights that are not finite; the message does not name it.
    """
    check_bytes(path)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mapped)
    except MemoryError:
        raise
    except Exception as error:  # whatever bytes make of torch's reader
        raise ValueError(f"it is no checkpoint ({_reason(error)}); {_REMEDY}") from error
    state = content.get("state_dict") if isinstance(content, dict) else None
    if not isinstance(state, Mapping) or not all(isinstance(weight, Tensor) for weight in state.values()):
        found = f"{type(content).__name__} of {', '.join(map(str, content)) or 'nothing'}"[:_MAX_REASON]
        raise ValueError(
            f"it holds no weights of a module ({found if isinstance(content, dict) else type(content).__name__}); "
            f"{_REMEDY}"
        )
    name = first_non_finite(state)
    if name is not None:
        raise NonFiniteWeightsError(f"'{name}' holds NaN or infinity; give another checkpoint of the run")
    values: dict[str, Any] = content
    return values


def check_checkpoint(path: Path, *, is_resumed: bool) -> None:
    """Refuse a file that a Trainer would stumble over, before anything is built for it; folders of shards are passed.

    Raises:
        UsageError: It is no checkpoint, or, where it is to be resumed, holds weights alone.
    """
    if path.is_dir():
        return
    try:
        content = read_content(path)
    except ValueError as error:
        raise UsageError(f"checkpoint {path}: {error}") from error
    if not isinstance(content.get(_VERSION_KEY), str):
        raise UsageError(
            f"checkpoint {path}: it names no version of Lightning, so that fit has not written it; {_REMEDY}"
        )
    if is_resumed and not all(key in content for key in ("epoch", "global_step", "optimizer_states")):
        raise UsageError(f"checkpoint {path} holds weights alone, and fit cannot resume from it; give last.ckpt")


def _reason(error: Exception) -> str:
    """Why torch could not read it, without its advice to run what the file holds."""
    text = one_line(str(error))
    if found := _CODE.search(text):
        return f"it holds code, {found[1].rstrip('.,')}, which is never run"
    return text[:_MAX_REASON] or type(error).__name__


def first_non_finite(state: Mapping[str, Any]) -> str | None:
    """Name of the first tensor that holds NaN or infinity; None where there is none.

    Example:
        >>> first_non_finite({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan])})
        'b'
    """
    return next((name for name, value in state.items() if isinstance(value, Tensor) and not _is_finite(value)), None)


def _is_finite(value: Tensor) -> bool:
    if not value.is_floating_point():
        return True
    # A sum is NaN or infinite where a part is, and takes no memory; only an overflow of it asks for a second look.
    return bool(value.sum(dtype=torch.float64).isfinite()) or bool(value.isfinite().all())
