"""A fit that is killed at any moment and resumed is the fit that was never killed: rows, scores and weights."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.runs import SHRUNK, Job, Server, latest, result_of, rows_of, same_weights, write_config

# Kills of one fit after another: of the fit, of its resume, of the resume of that.
CHAINS = {"kobart": (3, 3, 2), "llama3b": (3, 3, 2), "llama8b_qlora": (3, 2, 2), "demo": (3, 2, 2)}
# Steps are saved as they are made; a batch or two may be under way, and up to eight are one step.
_MOST_LOST = 8


class Killing:
    """A config's fits: one that is left alone, and others that are not."""

    def __init__(self, server: Server, words: list[str], folder: Path, *, seed: str, num_ranks: int = 1) -> None:
        self._server, self._words, self._folder, self._num_ranks = server, words, folder, num_ranks
        self._chance = random.Random(seed)
        start = time.monotonic()
        whole = server.run(words, folder, num_ranks=num_ranks)
        lines = whole.batches()
        self._seconds_a_line = (time.monotonic() - start) / len(lines)
        self._places = [place for place, line in enumerate(lines) if "rows" in line]
        self._num_lines = len(lines)
        self._rows = [rows_of(whole.batches(rank)) for rank in range(num_ranks)]
        self._result = result_of(latest(folder))

    def check_chain(self, num_kills: int) -> None:
        """Kill a fit and its resumes; what is read, scored and learnt in the end is what the whole one has."""
        words, first, last = self._words, 0, 0  # of the batches that have been learnt from
        for number in range(num_kills + 1):
            job = self._server.start(words, self._folder, num_ranks=self._num_ranks)
            if number < num_kills:
                self._kill(job, done=last)
            else:
                assert job.wait() == 0, job.said()
            first, last = self._check_rows(job, first, last)
            checkpoint = latest(self._folder) / "checkpoints" / "last.ckpt"
            if checkpoint.exists():
                words = [*self._words, "--ckpt_path", str(checkpoint)]
            else:  # killed before the first save: nothing to go on from, and nothing half-written
                assert last <= _MOST_LOST
                first, last = 0, 0
        assert last == len(self._rows[0])
        found = result_of(latest(self._folder))
        assert same_weights(found[0], self._result[0])
        assert found[1:] == self._result[1:]
        assert not list(latest(self._folder).rglob(".*ckpt*"))

    def _kill(self, job: Job, *, done: int) -> None:
        """After a random one of the lines that are left, and a random while; at the start where none is."""
        left = self._num_lines - self._places[done] if done < len(self._places) else 0
        if left > 1:
            line = self._chance.randrange(1, left)
            assert job.wait_for(lambda lines: len(lines) >= line), job.said()
        time.sleep(self._chance.random() * self._seconds_a_line / 2)
        job.kill()
        assert job.wait() == -signal.SIGKILL

    def _check_rows(self, job: Job, first: int, last: int) -> tuple[int, int]:
        """Where the batches of a fit stand among those of the whole one; they follow on those that were saved."""
        for rank in range(self._num_ranks):
            found, wanted = rows_of(job.batches(rank)), self._rows[rank]
            start = wanted.index(found[0]) if found else last
            assert found == wanted[start : start + len(found)], rank
            assert first <= start <= last, (rank, first, start, last)
            assert last - start <= _MOST_LOST, (rank, start, last)
        return start, start + len(found)


@pytest.mark.slow
@pytest.mark.parametrize("config", SHRUNK)
def test_a_killed_fit_goes_on_as_if_nothing_had_been(
    config: str, server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    """Killed after a random batch and a random while: within steps, validations and writes of checkpoints."""
    killing = Killing(server, write_config(tmp_path, config, cut_demo(44, 6)), tmp_path, seed=config)
    for num_kills in CHAINS[config]:
        killing.check_chain(num_kills)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["kobart", "llama8b_qlora"])
def test_a_killed_fit_of_two_ranks_goes_on_as_if_nothing_had_been(
    config: str, server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    words = [*write_config(tmp_path, config, cut_demo(44, 6)), "--trainer.devices=2", "--trainer.strategy=ddp"]
    Killing(server, words, tmp_path, seed=config, num_ranks=2).check_chain(2)


@pytest.mark.slow
def test_a_rank_that_dies_ends_the_other_within_a_minute(
    server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    words = [*write_config(tmp_path, "kobart", cut_demo(44, 6)), "--trainer.devices=2", "--trainer.strategy=ddp"]
    job = server.start(words, tmp_path, num_ranks=2)
    assert job.wait_for(lambda lines: len(rows_of(lines)) >= 2)
    start = time.monotonic()
    os.kill(job.pids[1], signal.SIGKILL)
    assert job.wait_all() == [2, -signal.SIGKILL]
    assert time.monotonic() - start < 60
    assert job.said()[-1].startswith("kosum_pl: error: another process of this run has ended")
