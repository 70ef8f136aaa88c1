"""A signal ends a command within one batch, with everything kept, and the run goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.runs import Server, latest, result_of, rows_of, same_weights, write_config

STATUS = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129, signal.SIGUSR1: 138}


@pytest.mark.slow
def test_fit_saves_its_last_step_and_a_resume_goes_on(
    server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    """In a step, in an accumulation of steps, in a validation, in the last validation; nothing was saved before."""
    words = write_config(tmp_path, "llama3b", cut_demo(44, 6), save_every_minutes=15)
    whole = server.run(words, tmp_path)
    lines = whole.batches()
    rows, wanted = rows_of(lines), result_of(latest(tmp_path))
    validations = [number for number, line in enumerate(lines) if "validation" in line]
    moments = [6, validations[0] + 1, validations[1] - 2, validations[-1] + 1]
    for number, moment in zip(STATUS, moments, strict=True):
        first = server.start(words, tmp_path)
        assert first.wait_for(lambda tape, moment=moment: len(tape) >= moment)
        seen = len(rows_of(first.batches()))
        first.kill(number, is_group=number is signal.SIGTERM)  # as a cluster sends it, to the loader's workers too
        assert first.wait() == STATUS[number], first.said()
        assert len(rows_of(first.batches())) <= seen + 1
        run_dir = latest(tmp_path)
        said = first.said()[-1]
        last = run_dir / "checkpoints" / "last.ckpt"
        assert said.startswith(f"kosum_pl: stopped by {number.name}; step ")
        assert said.endswith(f"go on with: python -m kosum_pl {' '.join(words)} --ckpt_path {last}")
        assert json.loads((run_dir / "run.json").read_text("utf-8"))["state"] == "interrupted"
        resumed = server.run([*words, "--ckpt_path", str(last)], tmp_path)
        going_on = rows_of(resumed.batches())
        assert going_on == rows[len(rows) - len(going_on) :], number
        # Lost is at most what had been gathered for a step that was not complete.
        assert len(rows_of(first.batches())) + len(going_on) - len(rows) < 4, number
        found = result_of(run_dir)
        assert same_weights(found[0], wanted[0]), number
        assert found[1:] == wanted[1:], number


@pytest.mark.slow
def test_a_signal_to_one_of_two_ranks_stops_both_at_the_same_step(
    server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    words = write_config(tmp_path, "kobart", cut_demo(44, 6), save_every_minutes=15)
    words += ["--trainer.devices=2", "--trainer.strategy=ddp"]
    whole = server.run(words, tmp_path, num_ranks=2)
    wanted, rows = result_of(latest(tmp_path)), rows_of(whole.batches())
    first = server.start(words, tmp_path, num_ranks=2)
    assert first.wait_for(lambda tape: len(rows_of(tape)) >= 3)
    os.kill(first.pids[1], signal.SIGTERM)
    assert first.wait_all() == [143, 143], first.said()
    assert len(rows_of(first.batches(0))) == len(rows_of(first.batches(1))) < len(rows)
    last = latest(tmp_path) / "checkpoints" / "last.ckpt"
    server.run([*words, "--ckpt_path", str(last)], tmp_path, num_ranks=2)
    found = result_of(latest(tmp_path))
    assert same_weights(found[0], wanted[0])
    assert found[1:] == wanted[1:]


@pytest.mark.slow
def test_a_signal_before_the_first_step_leaves_no_run(
    server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    words = write_config(tmp_path, "demo", cut_demo(44, 6))
    job = server.start(words, tmp_path)
    while not any("Seed set to" in line for line in job.said()):
        pass
    job.kill(signal.SIGTERM)
    assert job.wait() == 143
    assert job.said()[-1].startswith("kosum_pl: stopped by SIGTERM")


@pytest.mark.slow
def test_predict_keeps_the_summaries_that_are_done(
    server: Server, tmp_path: Path, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    words = write_config(tmp_path, "demo", cut_demo(24, 24))
    server.run(words, tmp_path)
    run_dir = latest(tmp_path)
    before = (run_dir / "predictions.csv").read_bytes()
    again = ["validate", *words[1:], "--ckpt_path", "last", "--data.eval_batch_size=1", "--model.preset=long.yaml"]
    (tmp_path / "long.yaml").write_text("max_new_tokens: 120\nmin_new_tokens: 110\n", encoding="utf-8")
    job = server.start(again, tmp_path)
    assert job.wait_for(lambda tape: len(tape) > 3)
    job.kill(signal.SIGTERM)
    assert job.wait() == 143, job.said()
    said = job.said()[-1]
    assert said.startswith("kosum_pl: stopped by SIGTERM; ")
    (folder,) = (run_dir / "eval").iterdir()
    partial = folder / "predictions.partial.jsonl"
    assert str(partial) in said
    done = [json.loads(line)["example_id"] for line in partial.read_text("utf-8").splitlines()]
    assert 0 < len(done) < 24
    assert done == sorted(done, key=lambda name: int(name.rpartition("_")[2]))
    assert (run_dir / "predictions.csv").read_bytes() == before
