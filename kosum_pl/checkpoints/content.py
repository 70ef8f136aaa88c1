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

from kosum_pl.errors import UsageError, one_line

_REMEDY: Final = "give a checkpoint that fit has written"
_CODE: Final = re.compile(r"unsupported (?:global: |class )?GLOBAL (\S+)", re.IGNORECASE)
_VERSION_KEY: Final = "pytorch-lightning_version"
_MAX_REASON: Final = 120


def read_content(path: Path) -> dict[str, Any]:
    """A checkpoint's values on the CPU, memory-mapped: optimizer states that nobody asks for are never read.

    Raises:
        ValueError: The file is no checkpoint; the message does not name it.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
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
