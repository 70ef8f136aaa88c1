"""`reproduce.sh`: a run directory that says, and checks, how to run the run again.

In: the command as it was typed, and data, presets and template of its config. Out: a script beside `config.yaml` that
compares versions and files with those of the run, stops where they differ, and then runs the config; and the pins it
compares with. The script needs bash, sha256sum and a Python with this project.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kosum_pl import __version__
from kosum_pl.data.read.source import STAGE_SPLITS, find_sources
from kosum_pl.files import write_atomically
from kosum_pl.lookup import config_folders, find_config, resolve_path
from kosum_pl.runs.environment import PROJECT, pinned_versions, project_requirement

SCRIPT_FILE: Final = "reproduce.sh"
PINS_FILE: Final = "constraints.txt"
_DEMO: Final = "demo:"
_PRESETS: Final = "presets"
_DEFAULT_PRESET: Final = "default"  # serves the rows that no other does
_TEMPLATE_KEY: Final = "template_file"
_NAMING: Final = ("preset", "fit_preset", "presets", _TEMPLATE_KEY)
_TEMPLATE: Final = r"""#!/usr/bin/env bash
# Runs this run again, with its config and its seed, in a run directory of its own.
#   ./reproduce.sh            compare versions, data and presets with those of the run; then run
#   ./reproduce.sh --check    compare only
#   ./reproduce.sh --install  first install the versions of the run
# $PYTHON is the Python to use. KOSUM_ANY_VERSION=1 goes on with other versions, and may give other numbers.
set -euo pipefail

started_as=({started_as})
run_dir=$(cd -- "$(dirname -- "${{BASH_SOURCE[0]}}")" && pwd)
python=${{PYTHON:-python}}
# Relative names in the config start here.
cd -- {working_dir}
printf 'started as:'; printf ' %q' "${{started_as[@]}}"; echo

if [[ ${{1:-}} == --install ]]; then
  "$python" -m pip install --constraint "$run_dir/{pins_file}" {requirement}
fi

"$python" - "$run_dir/{pins_file}" {project}=={version} <<'VERSIONS' || [[ ${{KOSUM_ANY_VERSION:-}} == 1 ]]
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
is_same = True
for line in [sys.argv[2], *lines]:
    name, separator, wanted = line.partition("#")[0].strip().partition("==")
    if not separator:
        continue
    try:
        found = version(name).partition("+")[0]
    except PackageNotFoundError:
        found = "not installed"
    if found != wanted:
        is_same = False
        print(f"reproduce.sh: {{name}} is {{found}}, and was {{wanted}}; use --install", file=sys.stderr)
sys.exit(0 if is_same else 1)
VERSIONS

{checks}
if [[ ${{1:-}} == --check ]]; then
  exit 0
fi
command=("$python" -m kosum_pl {command} --config "$run_dir/config.yaml" {options})
exec "${{command[@]}}"
"""
_CHECK: Final = r"""# {what}
({folder}sha256sum --check --quiet <<'HASHES'
{lines}
HASHES
) || {{ echo 'reproduce.sh: {what} differ from those of the run' >&2; exit 1; }}
"""


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What it takes to run a command again, beside the config it ran with.

    Attributes:
        command: `fit`, `validate`, `test` or `predict`.
        arguments: What followed it, as typed.
        runs_dir: Folder of all runs, absolute.
        config_name: Folder in it of this config's runs, which `config.yaml` tells only while it lies there.
        data: The `data` of the resolved config.
        model: Its `model`, which names presets and a template that are files of their own.
        checkpoint: What was evaluated; None for `fit`, which a script runs from its start.
        start: Weights that a `fit` started from.
    """

    command: str
    arguments: Sequence[str]
    runs_dir: Path
    config_name: str
    data: Mapping[str, Any]
    model: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Path | None = None
    start: Path | None = None

    def write(self, folder: Path) -> None:
        """Write the script and its pins.

        Args:
            folder: Where `config.yaml` lies, or will.
        """
        pins = "".join(f"{name}=={version}\n" for name, version in pinned_versions().items())
        write_atomically(folder / PINS_FILE, f"# What this run ran with; {SCRIPT_FILE} compares.\n{pins}")
        path = folder / SCRIPT_FILE
        write_atomically(path, self.script())
        path.chmod(path.stat().st_mode | 0o111)

    def script(self) -> str:
        """The text of the script."""
        options = ["--runs_dir", str(self.runs_dir), "--run_name", self.config_name]
        if self.checkpoint is not None and self.command != "fit":
            options += ["--ckpt_path", str(self.checkpoint)]
        return _TEMPLATE.format(
            started_as=shlex.join(["python", "-m", "kosum_pl", self.command, *self.arguments]),
            working_dir=shlex.quote(str(Path.cwd())),
            pins_file=PINS_FILE,
            requirement=shlex.quote(project_requirement(__version__)),
            project=PROJECT,
            version=__version__,
            checks="\n".join(self._checks()),
            command=self.command,
            options=shlex.join(options),
        )

    def _checks(self) -> Iterator[str]:
        demo: dict[str, str] = {}
        files: dict[str, str] = {}
        for split in STAGE_SPLITS[self.command]:
            given = self.data.get(f"{split}_file")
            for source in find_sources(given, argument=f"data.{split}_file") if given else ():
                if not source.files:
                    yield f"# {split}: '{source.name.splitlines()[0]}' comes from a hub and is not compared.\n"
                for file in source.files:
                    (demo if source.name.startswith(_DEMO) else files)[_name(file, source.name)] = _sha256(file)
        if demo:
            names = ", ".join(f"{_DEMO}{name}" for name in demo)
            yield _check(f"data files of the embedded demo ({names})", demo, folder=_DEMO_FOLDER)
        if files:
            yield _check("data files", files)
        named = {str(file): _sha256(file) for file in sorted(set(_named_files(self.model)))}
        if named:
            yield _check("presets or template", named)
        if self.start is not None:
            shards = [self.start] if self.start.is_file() else sorted(self.start.glob("*.safetensors"))
            yield _check("weights to start from", {str(shard): _sha256(shard) for shard in shards})


def _named_files(model: Mapping[str, Any]) -> Iterator[Path]:
    """Presets and templates of the user's own; the shipped ones come with the project's version."""
    shipped = set(config_folders(_PRESETS, is_shipped=True)) - {Path.cwd() / "configs" / _PRESETS}
    for key, value in (("preset", _DEFAULT_PRESET), *_settings(model)):
        path = Path(resolve_path(value)) if key == _TEMPLATE_KEY else find_config(value, _PRESETS)
        if not value.startswith(_DEMO) and path.parent not in shipped:
            yield path


def _settings(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of presets and of a template, wherever they stand."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _settings(value)
        elif key in _NAMING:
            names = value if isinstance(value, (list, tuple)) else [value]
            yield from ((key, name) for name in names if name and isinstance(name, str))


# The package may lie elsewhere than it did.
_DEMO_FOLDER: Final = (
    'cd -- "$("$python" -c \'from kosum_pl.lookup import resolve_path; print(resolve_path("demo:"))\')" && '
)


def _name(file: Path, source: str) -> str:
    if not source.startswith(_DEMO):
        return str(file)
    return str(file.relative_to(resolve_path(_DEMO)))


def _check(what: str, hashes: Mapping[str, str], *, folder: str = "") -> str:
    return _CHECK.format(
        what=what, folder=folder, lines="\n".join(_hash_line(name, digest) for name, digest in hashes.items())
    )


def _hash_line(name: str, digest: str) -> str:
    r"""A line as sha256sum writes and reads it.

    Example:
        >>> _hash_line("a b.csv", "00"), _hash_line("a\nb.csv", "00")
        ('00  a b.csv', '\\00  a\\nb.csv')
    """
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}"


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
