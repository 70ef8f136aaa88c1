"""`run.json`: what was run, on what, and how it ended.

In: `run.json`. Out: a `RunRecord`. The recorder writes it when a command begins and again when it ends: one that
was killed stays `running`. Runs from before there was a `run.json` say the same, as far as they do, in `reproduce.sh`;
that they are read too is a matter of this file alone. Only the standard library is imported.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from kosum_pl.files import read_json, write_json
from kosum_pl.runs.files import RECORD_FILE

SCHEMA_VERSION: Final = 1
State = Literal["", "running", "done", "interrupted", "failed"]
_PARTS: Final = {"lineage": dict, "hashes": dict, "reachability": dict}
"""What fields of several values hold; else texts."""
_SCRIPT_HASH: Final = re.compile(r"^([0-9a-f]{64}) [ *](.+)$", re.MULTILINE)
_SCRIPT_COMMAND: Final = re.compile(r"^started_as=\((.*?)\)$", re.MULTILINE | re.DOTALL)
_LAUNCHER: Final = ("python", "-m", "kosum_pl")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What is known of a command that writes into a run directory.

    Attributes:
        state: How it ended; empty where it is not known.
        started: Time in ISO 8601.
        ended: The same; None before.
        command: `fit`, `validate`, `test` or `predict`.
        arguments: What was typed after the command.
        working_dir: Where relative names in the config start.
        runs_dir: Folder of all runs, from the record's own folder where the run lies in it, else absolute.
        config_name: Folder in it of this config's runs.
        config_hash: Of the resolved config, as hex.
        checkpoint: What is evaluated or gone on with, by its name in the run, else absolute.
        lineage: Earlier runs whose weights it goes on with, the oldest first.
        requirement: What pip takes to install the project as it was installed.
        versions: Package to version, of everything that the project needs.
        hashes: SHA-256 by file, for each kind of file: `data`, `presets` (a template too) and `weights` to start from.
        not_compared: Data without files of its own.
        reachability: Of a `fit`, by split: how many references can be generated, as `Reachability.values` has it.
    """

    state: State = ""
    started: str | None = None
    ended: str | None = None
    command: str = ""
    arguments: Sequence[str] = ()
    working_dir: str = ""
    runs_dir: str = ""
    config_name: str = ""
    config_hash: str = ""
    checkpoint: str | None = None
    lineage: Sequence[Mapping[str, str]] = ()
    version: str = ""
    requirement: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    not_compared: Sequence[str] = ()
    reachability: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def started_as(self) -> str:
        """The command line; empty where it is not known."""
        return shlex.join([*_LAUNCHER, self.command, *self.arguments]) if self.command else ""

    @property
    def configs(self) -> tuple[str, ...]:
        """What followed `--config`, as typed.

        Example:
            >>> RunRecord(arguments=["--config", "demo", "--model.preset", "fast", "-c=own.yaml"]).configs
            ('demo', 'own.yaml')
        """
        return tuple(_configs(self.arguments))

    @property
    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of all files by name."""
        found = (pair for files in self.hashes.values() for pair in files.items())
        return {name.removeprefix("demo:"): digest for name, digest in found if digest}

    def write(self, folder: Path) -> None:
        """Write `run.json`."""
        write_json(folder / RECORD_FILE, {"schema_version": SCHEMA_VERSION, **asdict(self)})


def read_record(path: Path) -> RunRecord:
    """The record in a `run.json`.

    Raises:
        ValueError: The file is of something else, or of a later version.
    """
    values = read_json(path)
    if not isinstance(values, dict) or values.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{path} is of a version that this one does not read")
    known = {each.name for each in fields(RunRecord)}
    values = {name: value for name, value in values.items() if name in known}
    for name, value in values.items():
        if not _is_of_kind(value, default=getattr(RunRecord(), name), part=_PARTS.get(name, str)):
            raise ValueError(f"{path}: '{name}' is of another kind")
    return RunRecord(**values)


def _is_of_kind(value: Any, *, default: Any, part: type) -> bool:
    """Whether a field may have a value, by the value that it has without one and the kind of its parts."""
    if default is None or isinstance(default, str):
        return isinstance(value, str) or (default is None and value is None)
    if isinstance(default, Mapping):
        return isinstance(value, dict) and all(isinstance(each, part) for each in value.values())
    return isinstance(value, list) and all(isinstance(each, part) for each in value)


def read_script(path: Path) -> RunRecord:
    """What a `reproduce.sh` from before there was a `run.json` says: the command, and hashes of files."""
    text = path.read_text(encoding="utf-8")
    found = _SCRIPT_COMMAND.search(text)
    words = shlex.split(found[1])[len(_LAUNCHER) :] if found else [""]
    hashes = {"data": {name: digest for digest, name in _SCRIPT_HASH.findall(text)}}
    return RunRecord(command=words[0], arguments=words[1:], hashes=hashes)


def read_pins(path: Path) -> dict[str, str]:
    """Versions by package of a constraints file, names as they are written."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = (line.partition("#")[0].partition(";")[0].partition("==") for line in lines)
    return {name.strip(): version.strip() for name, is_pin, version in pins if is_pin}


def now() -> str:
    """The present second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _configs(arguments: Sequence[str]) -> Iterator[str]:
    pending = iter(arguments)
    for argument in pending:
        name, has_value, value = argument.partition("=")
        if name in ("--config", "-c"):
            given = value if has_value else next(pending, None)
            if given is not None:
                yield given
