"""How a file of a run names another file of that run, so that a run may be moved or copied.

In: a path, and the folder whose file names it: a run, or an evaluation under its `eval/`. Out: the name that is written
down, relative to that folder as long as both lie in one run; and the way back. Older runs wrote absolute names.
"""

from __future__ import annotations

import os
from pathlib import Path

from kosum_pl.runs.files import CHECKPOINT_FOLDER, CONFIG_FILE, EVALUATION_FOLDER


def run_of_output(folder: Path) -> Path:
    """The run that a folder is, or is an evaluation of.

    Example:
        >>> run_of_output(Path("/runs/demo/monday/eval/test-beam4")).name
        'monday'
    """
    return folder.parent.parent if folder.parent.name == EVALUATION_FOLDER else folder


def written_name(path: Path | str, *, folder: Path) -> str:
    """What a file in `folder` calls a path: relative within the run, absolute outside of it.

    Example:
        >>> evaluation = Path("/runs/demo/monday/eval/test-beam4")
        >>> written_name("/runs/demo/monday/checkpoints/last.ckpt", folder=evaluation)
        '../../checkpoints/last.ckpt'
        >>> written_name("/models/old.ckpt", folder=evaluation)
        '/models/old.ckpt'
    """
    path, folder = Path(path).resolve(), folder.resolve()
    return os.path.relpath(path, folder) if path.is_relative_to(run_of_output(folder)) else str(path)


def named_checkpoint(name: str, *, folder: Path) -> Path:
    """The checkpoint that a file in `folder` names; perhaps there is none.

    An absolute name of an older run means the checkpoint of this one, wherever the run lies by now: a copy never leads
    to the run that it was copied from.
    """
    if not Path(name).is_absolute():
        return Path(os.path.normpath(folder / name))
    here, there = run_of_output(folder) / CHECKPOINT_FOLDER / Path(name).name, Path(name)
    is_of_a_run = there.parent.name == CHECKPOINT_FOLDER and (there.parent.parent / CONFIG_FILE).is_file()
    return here if here.exists() or is_of_a_run else there
