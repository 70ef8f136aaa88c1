"""Every setting of a config, given what it cannot be: taken, or refused in one line; never a traceback or a hang."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bad_inputs.row import lay_out
from tests.faults.runs import Server

WRONG = ("null", "-1")
# What a run is made of, and where it goes; and what would start further processes.
LEFT_OUT = ("trainer.default_root_dir", "trainer.devices", "trainer.num_nodes")
MOST_SECONDS = 60


def keys_of(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Keys of single values, as the command line names them."""
    for name, value in values.items():
        key = prefix if name == "init_args" else f"{prefix}.{name}".lstrip(".")
        if isinstance(value, dict) and value and name not in ("config_overrides", "columns"):
            yield from keys_of(value, key)
        elif name != "class_path" and key not in LEFT_OUT:
            yield key


@pytest.mark.slow
def test_a_wrong_value_is_one_line(server: Server, tmp_path: Path) -> None:
    lay_out(tmp_path)
    words = ["fit", "--config", "tiny.yaml", "--runs_dir", "runs", "--trainer.max_epochs=1"]
    server.run(words, tmp_path)
    (config,) = (tmp_path / "runs").rglob("config.yaml")
    keys = list(keys_of(yaml.safe_load(config.read_text("utf-8"))))
    assert len(keys) > 80
    wrong = []
    for key in keys:
        for value in WRONG:
            job = server.start([*words, f"--{key}={value}"], tmp_path)
            if not job.wait_for_end(seconds=MOST_SECONDS):
                job.kill()
            status, said = job.wait(), job.said()
            errors = [line for line in said if line.startswith("kosum_pl: error: ")]
            if not (status == 0 or (status == 2 and len(errors) == 1 and "Traceback" not in "".join(said))):
                wrong.append((key, value, status, said[-1:]))
    assert wrong == []


def test_keys_are_named_as_the_command_line_does() -> None:
    values = {"model": {"class_path": "A", "init_args": {"b": 1, "c": {"d": None}}}, "data": {"columns": {"id": "x"}}}
    assert list(keys_of(values)) == ["model.b", "model.c.d", "data.columns"]
