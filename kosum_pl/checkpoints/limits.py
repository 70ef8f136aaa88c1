"""The limits that a checkpoint's fit took, where the config leaves them to the data.

In: a config's `data` and a checkpoint. Out: the same with numbers in place of `auto`: who goes on with a run, evaluates
or exports it cuts rows where its fit did, whatever lies in the train file by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from kosum_pl.checkpoints.content import read_checkpoint
from kosum_pl.errors import UsageError
from kosum_pl.plain_yaml import load_plain
from kosum_pl.runs.files import CONFIG_KEY
from kosum_pl.runs.folders import run_of
from kosum_pl.runs.run import Run

_NAMES: Final = ("max_source_tokens", "max_summary_tokens")


def run_limits(data: Mapping[str, Any], *, checkpoint: Path) -> dict[str, int]:
    """Numbers of those limits in `data` that are none yet, by name, as the checkpoint's fit took them.

    Raises:
        ValueError: Neither checkpoint nor run say them.
    """
    unknown = [name for name in _NAMES if not isinstance(data[name], int)]
    if not unknown:
        return {}
    taken = _fit_data(checkpoint)
    for name in unknown:
        if not isinstance(taken.get(name), int):
            raise UsageError(
                f"data.{name} is auto, and {checkpoint} does not say the number of its fit; give it with --data.{name}"
            )
    return {name: taken[name] for name in unknown}


def _fit_data(checkpoint: Path) -> Mapping[str, Any]:
    """`data` of the config that a checkpoint was trained with: its own copy, which goes wherever the file does."""
    text = read_checkpoint(checkpoint).get(CONFIG_KEY) if checkpoint.is_file() else None
    if text:
        data = (load_plain(str(text), where=f"the config in {checkpoint}") or {}).get("data")
        return data if isinstance(data, dict) else {}
    run_dir = run_of(checkpoint)
    return Run(run_dir).data if run_dir is not None else {}
