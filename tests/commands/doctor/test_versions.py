from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from kosum_pl.commands.doctor.versions import (
    bad_releases,
    bad_version_findings,
    pin_findings,
    read_pins,
    requirement_findings,
    shipped_pins,
)
from tests.commands.doctor.levels import levels, pairs, texts

# Dependencies of the pinned ones on other platforms than that of constraints.txt.
PLATFORM_ONLY = {"fasttext-predict-v2", "httpx2-jsfetch"}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Versions that stand in for the installed ones; nothing else is installed."""
    versions: dict[str, str] = {}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    return versions


def test_the_pins_are_those_of_the_checkout(repository: Path) -> None:
    pins = shipped_pins()
    assert pins == read_pins((repository / "constraints.txt").read_text(encoding="utf-8"))
    assert {"torch", "lightning", "transformers"} <= set(pins)


def test_a_constraints_file_beside_an_installed_package_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("torch==1.0\n", encoding="utf-8")
    assert shipped_pins(folders=[tmp_path]) == {}
    (tmp_path / "pyproject.toml").touch()
    assert shipped_pins(folders=[tmp_path]) == {"torch": "1.0"}


def test_a_local_part_is_no_other_version(installed: dict[str, str]) -> None:
    installed["torch"] = "2.13.0+cu126"
    assert levels(pin_findings({"torch": "2.13.0", "numpy": "2.4.6"})) == ["ok"]


def test_what_runs_gets_a_line_each_and_tools_share_one(installed: dict[str, str]) -> None:
    installed |= {"torch": "2.12.0", "peft": "0.21.2", "ruff": "0.1", "mypy": "1.0"}
    pins = {"torch": "2.13.0", "peft": "0.21.2", "ruff": "0.17.6", "mypy": "2.4.1"}
    findings = list(pin_findings(pins))
    assert pairs(findings) == [
        ("warning", "torch is 2.12.0, and 2.13.0 is pinned"),
        ("note", "2 further packages are not the pinned ones: ruff 0.1 (pinned 0.17.6), mypy 1.0 (pinned 2.4.1)"),
        ("note", "1 of 4 pinned packages that are installed have the pinned version"),
    ]
    assert findings[0].remedy == "pip install -c constraints.txt torch==2.13.0"


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"lightning": "2.6.6", "transformers": "5.23.0", "accelerate": "1.15.0", "peft": "0.21.2"}, []),
        ({"lightning": "2.6.2"}, ["lightning 2.6.2"]),
        ({"pytorch-lightning": "2.6.3"}, ["pytorch-lightning 2.6.3"]),
        ({"transformers": "5.23.0", "accelerate": "0.34.0"}, ["accelerate 0.34.0 beside transformers 5.23.0"]),
        ({"transformers": "4.57.0", "accelerate": "0.34.0", "peft": "0.17.0"}, []),
        ({"transformers": "5.0.0", "peft": "0.17.1"}, ["peft 0.17.1 beside transformers 5.0.0"]),
    ],
)
def test_known_bad_versions(installed: dict[str, str], versions: dict[str, str], expected: list[str]) -> None:
    installed |= versions
    findings = list(bad_version_findings())
    assert [finding.text.partition(":")[0] for finding in findings] == expected
    assert all(finding.level == "broken" and finding.remedy for finding in findings)


def test_a_published_flaw_is_a_warning_that_names_it(installed: dict[str, str]) -> None:
    installed |= {"torch": "2.5.1+cu124", "jinja2": "3.1.6"}
    (finding,) = bad_version_findings()
    assert finding.level == "warning"
    assert finding.text == (
        "torch 2.5.1: a checkpoint can run code although it is loaded with weights_only=True (CVE-2025-32434)"
    )
    assert finding.remedy == "pip install -c constraints.txt torch"


def test_nothing_that_is_pinned_is_known_to_be_bad() -> None:
    pins: dict[str, str | None] = dict(shipped_pins())
    assert list(bad_version_findings(pins)) == []
    assert [finding.level for finding in bad_version_findings({**pins, "lightning": "2.6.3"})] == ["broken"]
    assert {release.name for release in bad_releases()} >= {"lightning", "pytorch-lightning", "torch", "transformers"}
    assert all(release.advisory or release.beside for release in bad_releases())


def test_the_hashed_file_has_the_same_pins_each_with_its_hashes(repository: Path) -> None:
    text = (repository / "constraints-hashed.txt").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    assert all("--hash=sha256:" in block for block in blocks if block.strip())
    hashed: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE):
        hashed.setdefault(canonicalize_name(name), set()).add(version)
    pins = read_pins((repository / "constraints.txt").read_text(encoding="utf-8"))
    assert {name: hashed.get(name) for name in pins} == {name: {version} for name, version in pins.items()}
    assert all(name.startswith(("nvidia-", "cuda-")) for name in hashed.keys() - pins.keys() - PLATFORM_ONLY)


def test_without_pins_the_minimums_count(installed: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {
        "kosum-pl": ["torch<2.14,>=2.13", "ftfy>=6.3", 'optuna>=5.0; extra == "tune"'],
        "torch": ["sympy>=1.13"],
    }
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needs.get(name, []))
    installed |= {"torch": "2.12.1+cpu"}
    assert pairs(requirement_findings({})) == [
        ("warning", "kosum-pl needs torch<2.14,>=2.13, installed is 2.12.1"),
        ("broken", "kosum-pl needs ftfy>=6.3, which is not installed"),
        ("warning", "torch needs sympy>=1.13, which is not installed"),
    ]
    pinned = texts(requirement_findings({"torch": "2.13.0"}), "warning")
    assert not any(text.startswith("kosum-pl needs torch") for text in pinned)
