"""Run directories: where a run lies, which one is the latest, and which checkpoint a word means.

In: a folder of runs, a config's name, and `best`, `last` or a path. Out: paths, or a `ValueError` of one line. Only
the standard library is imported, so that a missing checkpoint is answered before anything heavy loads.

    runs/<config name>/<start time>/        one run: config.yaml, checkpoints/, metrics.json, predictions.csv, …
    runs/<config name>/<start time>/eval/   what validate, test and predict wrote of this run's checkpoints
    runs/<config name>/latest               link that only `fit` moves
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kosum_pl.files import make_folders, make_free_folder, remove_empty_folders
from kosum_pl.runs.files import (
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    EVALUATION_FOLDER,
    LAST_CHECKPOINT,
    LATEST,
    METRICS_FILE,
)
from kosum_pl.runs.run import Run
from kosum_pl.terminal import say

# What the strategies of several devices leave in a checkpoint that is a folder.
_OF_SHARDS = (".metadata", "checkpoint", "latest")
_TIME_FORMAT = "%Y-%m-%d_%H-%M-%S"
_TIME_PATTERN = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?")


def is_rank_zero() -> bool:
    """Whether this process writes: the only one, or the first of several, before any of them is connected."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"


def make_time_folder(parent: Path, *, prefix: str = "") -> Path:
    """Make a new, empty folder named after the present second; one that is taken gets a number."""
    parent.mkdir(parents=True, exist_ok=True)
    return make_free_folder(parent / (prefix + datetime.now().strftime(_TIME_FORMAT))).resolve()


@dataclass(frozen=True, kw_only=True)
class RunFolders:
    """Where one command writes.

    Attributes:
        run_dir: The run: a new one, or the one whose checkpoint is resumed or evaluated.
        output_dir: Where this command's files go: the run itself, or a folder under its `eval/`.
        is_new: Whether this command made `output_dir`, and may take it away if nothing comes of it.
        made_parents: The folders above it that this command made too, deepest last.
    """

    run_dir: Path
    output_dir: Path
    is_new: bool
    made_parents: tuple[Path, ...] = ()

    def remove(self) -> None:
        """Take a new output folder away, and of the folders that were made for it those that are empty now."""
        if not self.is_new:
            return
        shutil.rmtree(self.output_dir, ignore_errors=True)
        remove_empty_folders(self.made_parents)


def open_folders(command: str, *, runs_dir: Path, config_name: str, checkpoint: Path | None, preset: str) -> RunFolders:
    """Make the folders that a command writes into.

    A checkpoint of a run keeps its run: `fit` goes on in it, the others write under its `eval/`. Anything else
    opens a new run.
    """
    run_dir = run_of(checkpoint) if checkpoint else None
    if run_dir is None:
        try:
            made = make_folders(runs_dir / config_name)
        except FileNotFoundError as error:
            reason = f"cannot be made ({error.strerror})"
            raise FileNotFoundError(f"--runs_dir {runs_dir}: {reason}; name another place") from error
        new_run = make_time_folder(runs_dir / config_name)
        return RunFolders(run_dir=new_run, output_dir=new_run, is_new=True, made_parents=made)
    if command == "fit":
        return RunFolders(run_dir=run_dir, output_dir=run_dir, is_new=False)
    preset = re.sub(r"[^\w.+-]+", "-", preset)
    made = make_folders(run_dir / EVALUATION_FOLDER)
    output_dir = make_time_folder(run_dir / EVALUATION_FOLDER, prefix=f"{command}-{preset}-")
    return RunFolders(run_dir=run_dir, output_dir=output_dir, is_new=True, made_parents=made)


def point_latest_at(run_dir: Path) -> None:
    """Move the link `latest` beside a run so that it names this run; readers see the old one or the new one.

    Where a copy has made a folder of the link, that is a run of its own, and stays; this is said.
    """
    latest = run_dir.parent / LATEST
    if latest.is_dir() and not latest.is_symlink():
        say(f"{latest} is a folder and no link: best and last mean the run in it, until it is renamed or deleted")
        return
    with tempfile.TemporaryDirectory(dir=run_dir.parent, prefix=f".{LATEST}-") as folder:
        link = Path(folder) / LATEST  # it leads nowhere here, and to the run from where it is moved to
        link.symlink_to(run_dir.name, target_is_directory=True)
        os.replace(link, latest)


def config_name_of(config: Path) -> str:
    """Name of the folder that a config's runs go into: its stem, or for a run's own `config.yaml` that run's.

    Example:
        >>> config_name_of(Path("configs/llama3b.yaml"))
        'llama3b'
        >>> config_name_of(Path("runs/demo/2026-11-22_19-40-05/config.yaml"))
        'demo'
    """
    if config.name == CONFIG_FILE:
        for folder in config.resolve().parents:
            if _TIME_PATTERN.fullmatch(folder.name):
                return folder.parent.name
    return config.stem


def run_of(checkpoint: Path) -> Path | None:
    """The run that a checkpoint belongs to; None where it lies outside of any."""
    folder = checkpoint.resolve().parent
    return folder.parent if folder.name == CHECKPOINT_FOLDER else None


def find_checkpoint(name: str, *, runs_dir: Path, config_name: str) -> Path:
    """Absolute path of the checkpoint that `best` or `last` of the config's latest run means, or a path.

    Raises:
        ValueError: There is no such run or checkpoint, or the file is something else.
    """
    if name not in ("best", "last"):
        path = Path(name).expanduser()
        if not path.exists():
            raise ValueError(f"checkpoint '{name}' does not exist{_known(runs_dir / config_name / LATEST)}")
        # A sharded checkpoint is a folder, any other a zip archive; its content is read much later.
        if path.is_dir() and not any((path / part).exists() for part in _OF_SHARDS):
            raise ValueError(
                f"{name} is a folder, and no sharded checkpoint{_known(path)}; give a file that fit has written"
            )
        if not path.is_dir() and not (path.is_file() and zipfile.is_zipfile(path)):
            raise ValueError(f"{name} is no checkpoint, or half of one; give a file that fit has written")
        return path.resolve()
    latest = runs_dir / config_name / LATEST
    run_dir = _latest_run(latest)
    if not run_dir.is_dir():
        raise ValueError(
            f"--ckpt_path {name}: there is no run of '{config_name}' at {latest}; run fit first, or give a file"
        )
    path = _best_of(run_dir) if name == "best" else run_dir / CHECKPOINT_FOLDER / LAST_CHECKPOINT
    if not path.exists():
        raise ValueError(f"--ckpt_path {name}: {path} does not exist{_known(run_dir)}; run fit first, or give a file")
    return path.resolve()


def _latest_run(latest: Path) -> Path:
    """The run that `latest` leads to; of a copied folder of runs the copy, also where the link is an absolute one."""
    try:
        run_dir = latest.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        return latest
    sibling = latest.parent.resolve() / run_dir.name
    return sibling if sibling.is_dir() else run_dir


def _best_of(run_dir: Path) -> Path:
    run = Run(run_dir)
    best = run.best_checkpoint
    if reason := run.failures.get(METRICS_FILE):
        path = run_dir / METRICS_FILE
        raise ValueError(f"--ckpt_path best: {path} cannot be read ({reason}){_known(run_dir)}; give last, or a file")
    if best is None:
        path = run_dir / METRICS_FILE
        raise ValueError(f"--ckpt_path best: {path} names no best checkpoint{_known(run_dir)}; run fit first")
    return best


def _known(run_dir: Path) -> str:
    """Which checkpoints a run has, as the tail of an error."""
    names = sorted(path.name for path in (run_dir / CHECKPOINT_FOLDER).glob("*.ckpt"))
    return f" (there: {', '.join(names)})" if names else ""
