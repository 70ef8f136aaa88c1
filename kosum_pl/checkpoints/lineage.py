"""What `--init_from` means, and the lineage of runs that comes of it.

In: a run directory, a checkpoint file or an exported folder, as the user wrote it. Out: the file or folder with the
weights, and the list that stands under `lineage` in `config.yaml`: every ancestor of a run, the oldest first. The last
of them is what a run starts from, so that the config alone says it. Nothing heavy is imported: a wrong name is
answered at once.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from kosum_pl.errors import UsageError
from kosum_pl.files import read_mapping
from kosum_pl.runs.folders import run_of
from kosum_pl.runs.run import Run

OPTION: Final = "--init_from"
WEIGHTS_KEY: Final = "weights"
ADAPTER_FILE: Final = "adapter_model.safetensors"
MODEL_FILE: Final = "model.safetensors"
INDEX_FILE: Final = "model.safetensors.index.json"
ADAPTER_CONFIG: Final = "adapter_config.json"
EXPORT_RECORD: Final = "kosum.json"
_REMEDY: Final = "give a run directory such as runs/NAME/latest, a checkpoint file, or an exported folder"

Lineage = list[dict[str, str]]


def find_weights(name: str, *, where: str = OPTION) -> Path:
    """Absolute path of the checkpoint file or exported folder that a name means.

    A name is a run directory (its best checkpoint, else its last), a checkpoint file, or an exported folder.

    Raises:
        ValueError: Nothing is there, or it holds no weights.
    """
    path = Path(name).expanduser()
    if not path.exists():
        raise UsageError(f"{where} {name}: there is no such run, checkpoint or folder; {_REMEDY}")
    path = path.resolve()
    if path.is_dir() and not _is_sharded(path) and not is_export(path):
        path = _checkpoint_of(path, name=name, where=where)
    if _is_sharded(path):
        raise UsageError(
            f"{where} {name}: {path.name} is a sharded checkpoint; make one file of it first: "
            f"python -m lightning.pytorch.utilities.consolidate_checkpoint {path}"
        )
    if not path.is_dir() and not (path.is_file() and zipfile.is_zipfile(path)):
        raise UsageError(f"{where} {name}: {path.name} is no checkpoint, or half of one; {_REMEDY}")
    return path


def is_export(path: Path) -> bool:
    """Whether this is a folder in the format of transformers or PEFT."""
    return any((path / file).is_file() for file in (ADAPTER_FILE, MODEL_FILE, INDEX_FILE))


def lineage_from(name: str) -> Lineage:
    """Lineage of a run that starts from something: that one's own ancestors, and itself.

    Returns:
        Plain mappings, the oldest first: `weights`, and where they are known `config_hash` and `rouge_sum`.
    """
    weights = find_weights(name)
    return [*(lineage_of(weights) or []), _generation(weights)]


def lineage_of(weights: Path) -> Lineage | None:
    """The lineage that stands beside weights; None where nothing says it."""
    run_dir = run_of(weights)
    if weights.is_dir():
        return _checked(read_mapping(weights / EXPORT_RECORD).get("lineage"))
    return _checked(Run(run_dir).lineage) if run_dir else None


def start_of(lineage: object, *, where: str = "lineage") -> Path | None:
    """The weights that a run with this lineage starts from; None where it is empty.

    Raises:
        ValueError: It is no lineage, or its last weights are gone.
    """
    if not lineage:
        return None
    generations = _checked(lineage)
    if generations is None:
        raise UsageError(f"{where} is {lineage!r}; give a list of {{{WEIGHTS_KEY}: PATH}}, or use {OPTION}")
    return find_weights(generations[-1][WEIGHTS_KEY], where=f"{where}: {WEIGHTS_KEY}")


def _is_sharded(path: Path) -> bool:
    return path.is_dir() and (path / ".metadata").is_file()


def _checkpoint_of(run_dir: Path, *, name: str, where: str) -> Path:
    checkpoint = Run(run_dir).checkpoint
    if checkpoint is None:
        raise UsageError(f"{where} {name}: no checkpoint and no {MODEL_FILE} in {run_dir}; {_REMEDY}")
    return checkpoint


def _generation(weights: Path) -> dict[str, str]:
    generation = {WEIGHTS_KEY: str(weights)}
    run_dir = run_of(weights)
    if run_dir is None:
        return generation
    run = Run(run_dir)
    if run.config_hash:
        # Marked, because digits around an `e` (168893192e81) would be read back from YAML as a number.
        generation["config_hash"] = f"sha256:{run.config_hash}"
    # The scores of a run are those of its best checkpoint; of another one nothing is known.
    is_best = run.best_checkpoint is not None and run.best_checkpoint.name == weights.name
    if is_best and isinstance(score := run.metrics.get("val/rouge_sum"), float):
        generation["rouge_sum"] = f"{score:.4f}"
    return generation


def _checked(lineage: object) -> Lineage | None:
    """A lineage as it should be; None for anything else."""
    if not isinstance(lineage, list):
        return None
    for generation in lineage:
        if not isinstance(generation, dict) or not isinstance(generation.get(WEIGHTS_KEY), str):
            return None
    return [{str(key): str(value) for key, value in generation.items()} for generation in lineage]
