from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest

from kosum_pl.runs import environment
from kosum_pl.runs.environment import installed_versions, project_requirement


def fake(
    name: str, number: str, *, requires: tuple[str, ...] = (), extras: tuple[str, ...] = (), origin: str = ""
) -> Any:
    return SimpleNamespace(
        version=number,
        requires=requires,
        metadata=SimpleNamespace(get_all=lambda _: extras),
        read_text=lambda _: origin or None,
    )


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found = {
        "p": fake(
            "p",
            "1",
            requires=("A>=1", 'gone; sys_platform == "none"', 'x; extra == "more"', 'y; extra == "less"'),
            extras=("more", "less", "dev"),
        ),
        "a": fake("a", "2.1+cu1", requires=("b[fast]", "p")),
        "b": fake("b", "3", requires=('c; extra == "fast"', 'd; extra == "slow"')),
        "c": fake("c", "4", requires=("a",)),
        "d": fake("d", "5"),
        "x": fake("x", "6"),
        "unrelated": fake("unrelated", "7"),
    }
    monkeypatch.setattr(environment, "_find", lambda name: found.get(name.lower()))
    return found


def test_pins_are_what_is_needed_directly_or_not(installed: dict[str, Any]) -> None:
    # `y` is absent, so that its extra is not in use; `d` serves an extra that nobody asked for.
    assert installed_versions("p") == {"a": "2.1", "b": "3", "c": "4", "x": "6"}


def test_the_project_is_installed_from_where_it_came(installed: dict[str, Any]) -> None:
    assert project_requirement("1", "p") == "p[more]==1"
    installed["p"].read_text = lambda _: '{"url": "file:///src/p", "dir_info": {"editable": true}}'
    assert project_requirement("1", "p") == "p[more] @ file:///src/p"
    installed["p"].read_text = lambda _: '{"url": "https://x/p", "vcs_info": {"vcs": "git", "commit_id": "ab"}}'
    assert project_requirement("1", "p") == "p[more] @ git+https://x/p@ab"
    assert project_requirement("1", "nowhere") == "nowhere==1"


def test_real_pins_are_those_of_this_environment() -> None:
    pins = installed_versions()
    assert {"torch", "lightning", "transformers", "numpy"} <= set(pins)
    assert pins["transformers"] == version("transformers")
    assert "pytest" not in pins


def test_every_pin_is_one_that_pip_would_freeze() -> None:
    frozen = subprocess.run([sys.executable, "-m", "pip", "freeze", "--all"], capture_output=True, text=True)
    if frozen.returncode != 0:
        pytest.skip("pip is not installed here")
    theirs = {line.partition("+")[0].lower().replace("_", "-").replace(".", "-") for line in frozen.stdout.splitlines()}
    ours = {f"{name}=={number}".replace(".", "-") for name, number in installed_versions().items()}
    assert ours - theirs == set()
