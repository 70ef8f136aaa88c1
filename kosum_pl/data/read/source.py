"""What the user named as data → the files to read, each with its format, weight and content hash.

In: `data.train_file` and its siblings: a path, a hub id, or a list of these with weights. Out: a `Source` for each
entry. Here is decided what is a file, a folder of shards or a hub id, and here a wrong path is reported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kosum_pl.data.read.formats import READERS, find_reader
from kosum_pl.extensions import UnknownExtensionError
from kosum_pl.lookup import resolve_path
from kosum_pl.types import is_finite_number

STAGE_SPLITS: Final[Mapping[str, tuple[str, ...]]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}
"""Splits that a stage reads, each from `data.<split>_file`."""

SourceArgument = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""A path, a hub id `owner/name` or `owner/name:split`, `{"path": ..., "weight": ..., "format": ...}`, or a list."""

_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+(?::[\w.\[\]%-]+)?")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_MAX_LISTED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One entry of a data argument.

    Attributes:
        files: The file, or the shards in the order of their names; empty for a hub id.
        format: A reader's name, or hub.
        weight: How often an epoch of training visits each row.
    """

    name: str
    files: tuple[Path, ...]
    format: str
    weight: float = 1.0

    @property
    def file_names(self) -> tuple[str, ...]:
        """What a message calls each file."""
        return tuple(map(str, self.files)) or (self.name,)


def find_sources(source: SourceArgument, *, argument: str) -> list[Source]:
    """A `Source` for each entry of a data argument, which is called `argument` (`data.train_file`), in the given order.

    Raises:
        ValueError: Nothing given, a file is missing, empty or of an unknown ending, or a weight is not positive.
    """
    entries = [source] if isinstance(source, (str, Mapping)) else list(source)
    if not entries:
        raise ValueError(f"{argument} is an empty list; name at least one file")
    return [_find_source(entry, argument) for entry in entries]


def hash_source(source: Source) -> str:
    """Hash of the bytes of all files of a source, read in pieces; it does not depend on names or dates."""
    digest = hashlib.blake2b(source.format.encode(), digest_size=16)
    for file in source.files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest())
    return digest.hexdigest()


def _find_source(entry: object, argument: str) -> Source:
    if isinstance(entry, str):
        entry = {"path": entry}
    if not isinstance(entry, Mapping) or not {"path"} <= set(entry) <= {"path", "weight", "format"}:
        raise ValueError(
            f"{argument}: '{entry}' is neither a path nor {{path: ..., weight: ...}}; write one of the two"
        )
    name, wanted = str(entry["path"]), entry.get("format")
    weight = _check_weight(entry.get("weight", 1.0), name, argument)
    if wanted is not None:
        try:
            find_reader(wanted, argument=argument)
        except UnknownExtensionError:
            raise ValueError(
                f"{argument}: unknown format '{wanted}' of '{name}'; known: {', '.join(READERS)}"
            ) from None
    if _URL.match(name):
        raise ValueError(f"{argument}: '{name}' is a URL, and nothing is downloaded; fetch the file, and give its path")
    path = Path(resolve_path(name))
    if path.is_dir():
        files, file_format = _find_shards(path, wanted, argument)
    elif path.is_file():
        files, file_format = (path,), wanted or _format_of(path)
    elif not _is_known(path) and _HUB_ID.fullmatch(name) and not path.parent.is_dir():
        files, file_format = (), "hub"
    else:
        raise ValueError(f"{name}: no such file or folder; {_suggest(path)}; check {argument}")
    for file in files:
        if file.stat().st_size == 0:
            raise ValueError(f"{file}: the file is empty; write a header and rows into it, or check {argument}")
    return Source(name=name, files=files, format=file_format, weight=weight)


def _check_weight(value: object, name: str, argument: str) -> float:
    if not is_finite_number(value) or value <= 0:
        raise ValueError(
            f"{argument}: weight {value!r} of '{name}' is not a positive number; leave the file out instead"
        )
    return float(value)


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _is_known(path: Path) -> bool:
    return _ending(path) in READERS


def _known_endings() -> str:
    return ", ".join(f".{name}" for name in READERS)


def _format_of(path: Path) -> str:
    if not _is_known(path):
        raise ValueError(
            f"{path}: unknown file ending '{path.suffix}'; known: {_known_endings()}; rename or convert it"
        )
    return _ending(path)


def _data_files(folder: Path) -> list[Path]:
    """All data files of a folder; other files, such as a README, are left alone."""
    return sorted(file for file in folder.iterdir() if file.is_file() and _is_known(file) and file.name[0] not in "._")


def _find_shards(folder: Path, wanted: str | None, argument: str) -> tuple[tuple[Path, ...], str]:
    files = [file for file in _data_files(folder) if wanted in (None, _ending(file))]
    if not files:
        raise ValueError(f"{folder}: no file in this folder ends in {_known_endings()}; check {argument}")
    formats = {_ending(file): file.name for file in files}
    if len(formats) > 1:
        names = " and ".join(formats.values())
        raise ValueError(f"{folder}: the shards are of different formats ({names}); keep one format in a folder")
    return tuple(files), next(iter(formats))


def _suggest(path: Path) -> str:
    """What stands where the file was looked for."""
    if not path.parent.is_dir():
        return f"the folder {path.parent} does not exist (working folder: {Path.cwd()})"
    names = [file.name for file in _data_files(path.parent)]
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return f"{path.parent.resolve()} holds {', '.join(names[:_MAX_LISTED]) or 'no data file'}{more}"
