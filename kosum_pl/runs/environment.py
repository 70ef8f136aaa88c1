"""Versions of what a run runs on.

In: the metadata of what is installed. Out: exact pins of everything that this project needs, directly or not, and how
the project itself is installed. Other packages that happen to be there are left out: they would only be in the way.
"""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "kosum-pl"
# What tests and benchmarks need changes no run.
_EXTRAS_LEFT_OUT = frozenset({"dev", "bench"})


def installed_versions(project: str = PROJECT) -> dict[str, str]:
    """Installed versions of all that a project needs, by name, sorted.

    Args:
        project: Whose needs; where it is not installed, but lies in the working folder, everything counts.

    Returns:
        Versions without their local part: `2.13.0` of `2.13.0+cu128`, which a registry would not know.
    """
    root = _find(project)
    everything = {str(canonicalize_name(each.metadata["Name"])): each.version for each in distributions()}
    found = _closure(root) if root else everything
    return {name: version.partition("+")[0] for name, version in sorted(found.items()) if name != project}


def project_requirement(version: str, project: str = PROJECT) -> str:
    """What `pip install` takes to install the project as it is installed here: a version, a commit or a folder."""
    root = _find(project)
    extras = ",".join(sorted(_extras(root))) if root else ""
    name = f"{project}[{extras}]" if extras else project
    origin = json.loads((root.read_text("direct_url.json") if root else None) or "{}")
    if "vcs_info" in origin:
        return f"{name} @ {origin['vcs_info']['vcs']}+{origin['url']}@{origin['vcs_info']['commit_id']}"
    return f"{name} @ {origin['url']}" if "url" in origin else f"{name}=={version}"


def _closure(root: Distribution) -> dict[str, str]:
    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    pending = [(root, extra) for extra in ("", *_extras(root))]
    while pending:
        parent, extra = pending.pop()
        for name, extras in _needs(parent, extra):
            child = _find(name)
            if child is None:
                continue
            found[name] = child.version
            new = {(name, wanted) for wanted in ("", *extras)} - seen
            seen |= new
            pending += [(child, wanted) for _, wanted in sorted(new)]
    return found


def _extras(root: Distribution) -> list[str]:
    """Extras of which everything is installed."""
    extras = set(root.metadata.get_all("Provides-Extra") or ()) - _EXTRAS_LEFT_OUT
    return [extra for extra in extras if all(_find(name) for name, _ in _needs(root, extra))]


def _needs(parent: Distribution, extra: str) -> list[tuple[str, set[str]]]:
    requirements = [Requirement(line) for line in parent.requires or ()]
    return [
        (canonicalize_name(each.name), each.extras)
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": extra})
    ]


def _find(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
