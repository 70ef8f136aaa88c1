"""What it takes to run a command again: the record of its start, and `reproduce.sh`, which checks it and runs.

In: the command as it was typed, and data, presets and template of its config. Out: `run.json`; a script beside it that
compares versions and files with those of the run, stops where they differ, and then runs the config; and the pins that
it can install. The script needs bash and a Python with this project.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kosum_pl import __version__
from kosum_pl.data.read.source import STAGE_SPLITS, find_sources
from kosum_pl.files import write_atomically
from kosum_pl.lookup import config_folders, resolve_path
from kosum_pl.runs import rerun
from kosum_pl.runs.environment import installed_versions, project_requirement
from kosum_pl.runs.files import CONSTRAINTS_FILE, SCRIPT_FILE
from kosum_pl.runs.paths import written_name
from kosum_pl.runs.record import RunRecord, now

_DEMO: Final = "demo:"
_PRESETS: Final = "presets"
_SCRIPT: Final = r"""#!/usr/bin/env bash
# Runs this run again, with its config and its seed, in a run directory of its own.
#   ./reproduce.sh            compare versions, data and presets with those of the run; then run
#   ./reproduce.sh --check    compare only
#   ./reproduce.sh --install  first install the versions of the run
# What they were stands in run.json. $PYTHON is the Python to use. KOSUM_ANY_VERSION=1 goes on with other versions, and
# may give other numbers.
set -euo pipefail
run_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
IFS= read -r -d '' rerun <<'PYTHON' || true
{rerun}PYTHON
exec "${PYTHON:-python}" -c "$rerun" "${PYTHON:-python}" "$run_dir" "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What a command was started with, beside its config; see also `RunRecord`.

    Attributes:
        config_name: Folder in it of this config's runs, which `config.yaml` shows only while it lies there.
        data: The `data` of the resolved config.
        settings_files: What presets and a prompt's template were read from; those that are shipped are not compared.
        start: Weights that a `fit` starts from.
    """

    command: str
    arguments: Sequence[str]
    runs_dir: Path
    config_name: str
    data: Mapping[str, Any]
    settings_files: Sequence[Path] = ()
    lineage: Sequence[Mapping[str, str]] = ()
    checkpoint: Path | None = None
    start: Path | None = None

    def write(self, folder: Path, *, config_hash: str = "") -> RunRecord:
        """Write record, script and pins of a command that begins now, beside its `config.yaml`."""
        record = self._record(folder, config_hash)
        pins = "".join(f"{name}=={version}\n" for name, version in record.versions.items())
        write_atomically(folder / CONSTRAINTS_FILE, f"# What this run ran with; {SCRIPT_FILE} compares.\n{pins}")
        path = folder / SCRIPT_FILE
        source = Path(rerun.__file__).read_text(encoding="utf-8")
        write_atomically(path, _SCRIPT.replace("{rerun}", source))
        path.chmod(path.stat().st_mode | 0o111)
        record.write(folder)
        return record

    def _record(self, folder: Path, config_hash: str) -> RunRecord:
        data, not_compared = self._data_files()
        is_inside = folder.is_relative_to(self.runs_dir)
        runs_dir = os.path.relpath(self.runs_dir, folder) if is_inside else self.runs_dir
        names = {
            "data": data,
            "presets": [str(file) for file in _own_files(self.settings_files)],
            "weights": [str(file) for file in self._start_files()],
        }
        return RunRecord(
            state="running",
            started=now(),
            command=self.command,
            arguments=list(self.arguments),
            working_dir=str(Path.cwd()),
            runs_dir=str(runs_dir),
            config_name=self.config_name,
            config_hash=config_hash,
            checkpoint=written_name(self.checkpoint, folder=folder) if self.checkpoint else None,
            lineage=list(self.lineage),
            version=__version__,
            requirement=project_requirement(__version__),
            versions=installed_versions(),
            hashes={kind: {name: rerun.digest_of(name) for name in files} for kind, files in names.items() if files},
            not_compared=not_compared,
        )

    def _data_files(self) -> tuple[list[str], list[str]]:
        """Names of the data's files, those of the demo as any installation knows them, and what has no files."""
        names, not_compared = [], []
        for split in STAGE_SPLITS[self.command]:
            given = self.data.get(f"{split}_file")
            for source in find_sources(given, argument=f"data.{split}_file") if given else ():
                if not source.files:
                    not_compared.append(f"{split}: '{source.name.splitlines()[0]}'")
                is_demo = source.name.startswith(_DEMO)
                for file in source.files:
                    names.append(f"{_DEMO}{file.relative_to(resolve_path(_DEMO))}" if is_demo else str(file))
        # Those of the demo first: a path does not begin with its mark.
        return sorted(dict.fromkeys(names), key=lambda name: not name.startswith(_DEMO)), not_compared

    def _start_files(self) -> Sequence[Path]:
        if self.start is None:
            return ()
        return [self.start] if self.start.is_file() else sorted(self.start.glob("*.safetensors"))


def _own_files(files: Sequence[Path]) -> list[Path]:
    """Those of the user's own; the shipped ones come with the project's version."""
    shipped = set(config_folders(_PRESETS, is_shipped=True)) - {Path.cwd() / "configs" / _PRESETS}
    demo = resolve_path(_DEMO)
    return sorted({file for file in files if file.parent not in shipped and not file.is_relative_to(demo)})
