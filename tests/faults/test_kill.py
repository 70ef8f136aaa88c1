"""A fit that is killed at any moment and resumed is the fit that was never killed: rows, scores and weights."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.runs import SHRUNK, Server, latest, result_of, rows_of, same_weights, write_config

KILLS = {"kobart": 8, "llama3b": 8, "llama8b_qlora": 7, "demo": 7}


@pytest.mark.slow
@pytest.mark.parametrize("config", SHRUNK)
def test_a_killed_fit_goes_on_as_if_nothing_had_been(
    config: str, server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    """Killed after a random batch and a random while: within steps, validations and writes of checkpoints."""
    words = write_config(tmp_path, config, cut_demo(44, 6))
    start = time.monotonic()
    whole = server.run(words, tmp_path)
    seconds = time.monotonic() - start
    rows, wanted = rows_of(whole.batches()), result_of(latest(tmp_path))
    num_lines = len(whole.batches())
    chance = random.Random(config)
    for number in range(KILLS[config]):
        line = chance.randrange(1, num_lines)
        first = server.start(words, tmp_path)
        first.wait_for(lambda lines, line=line: len(lines) >= line)
        time.sleep(chance.random() * seconds / num_lines / 2)
        first.kill()
        first.wait()
        run_dir = latest(tmp_path)
        last = run_dir / "checkpoints" / "last.ckpt"
        if not last.exists():  # killed before the first save: nothing to go on from, and nothing half-written
            assert len(rows_of(first.batches())) <= 8, (number, line)
            continue
        resumed = server.run([*words, "--ckpt_path", str(last)], tmp_path)
        going_on = rows_of(resumed.batches())
        assert going_on == rows[len(rows) - len(going_on) :], (number, line)
        # What was learnt and is lost: at most the steps after the last save, which come after each step here.
        assert len(rows_of(first.batches())) + len(going_on) - len(rows) <= 8, (number, line)
        found = result_of(run_dir)
        assert same_weights(found[0], wanted[0]), (number, line)
        assert found[1:] == wanted[1:], (number, line)
        assert not list(run_dir.rglob(".*ckpt*")), (number, line)
