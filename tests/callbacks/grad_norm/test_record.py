"""Spikes against numpy, tables that survive an interruption, and a picture."""

from __future__ import annotations

import errno
import io
import math
from pathlib import Path

import numpy as np
import pytest

from kosum_pl.callbacks.grad_norm.plot import plot_norms
from kosum_pl.callbacks.grad_norm.record import NormRecord, NormStep, StepTable


def record_of(norms: list[float], *, gradient_clip_val: float | None = None, **settings: float) -> NormRecord:
    record = NormRecord(gradient_clip_val=gradient_clip_val, **settings)
    for step, norm in enumerate(norms, start=1):
        record.add(NormStep(step=step, norm=norm))
    return record


def test_spikes_are_those_that_numpy_finds() -> None:
    norms = np.exp(np.random.default_rng(0).normal(0, 0.6, 400))
    expected = [step + 1 for step in range(10, 400) if norms[step] > 3 * np.median(norms[max(0, step - 50) : step])]
    assert len(expected) > 5
    record = record_of(norms.tolist())
    assert [spike.step for spike in record.spikes] == expected
    first = record.spikes[0]
    assert first.median == pytest.approx(np.median(norms[max(0, first.step - 51) : first.step - 1]))


def test_nan_and_inf_are_spikes_and_spoil_no_median() -> None:
    norms = [1.0] * 5 + [math.nan] + [1.0] * 20 + [math.inf] + [1.0] * 5 + [3.1]
    assert [spike.step for spike in record_of(norms).spikes] == [6, 27, 33]
    assert math.isnan(record_of([math.inf]).spikes[0].median)


def test_factor_and_history_are_settings() -> None:
    norms = [1.0, 1.0, 2.5]
    assert not record_of(norms).spikes
    assert [spike.step for spike in record_of(norms, spike_factor=2.0, min_history=2).spikes] == [3]


def test_warmup_ends_at_the_highest_rate() -> None:
    record = NormRecord(gradient_clip_val=1.0)
    for step, rate in enumerate([0.0, 0.1, 0.2, 0.3, 0.2, 0.1], start=1):
        record.add(NormStep(step=step, norm=1.0, learning_rate=rate))
    assert (record.learning_rate, record.num_warmup_steps) == (0.3, 3)
    assert record_of([1.0]).num_warmup_steps == 0
    assert [record.is_clipped(norm) for norm in (0.9, 1.0, 1.1, math.inf)] == [False, False, True, True]


def test_a_table_goes_on_from_a_step_and_drops_a_torn_line(tmp_path: Path) -> None:
    table = StepTable(tmp_path / "run" / "norms.csv", ["step", "total", "loss"])
    table.start(until_step=0)
    table.append([{"step": step, "total": step / 3, "loss": None} for step in (1, 2, 3)])
    assert table.path.read_text() == "step,total,loss\n1,0.333333333,\n2,0.666666667,\n3,1,\n"
    with table.path.open("a") as file:
        file.write("4,1.33,0")  # the machine stopped here: 0.57 was meant
    again = StepTable(table.path, ["step", "total", "loss"])
    assert again.start(until_step=9) == [
        {"step": "1", "total": "0.333333333", "loss": ""},
        {"step": "2", "total": "0.666666667", "loss": ""},
        {"step": "3", "total": "1", "loss": ""},
    ]
    again.start(until_step=2)
    again.append([{"step": 3, "total": math.nan, "loss": 0.5}])
    assert table.path.read_text() == "step,total,loss\n1,0.333333333,\n2,0.666666667,\n3,nan,0.5\n"
    again.start(until_step=0)
    assert table.path.read_text() == "step,total,loss\n"


def test_rows_of_other_columns_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "norms.csv"
    path.write_text("step,other,total\n1,9,2\n")
    StepTable(path, ["step", "total", "head"]).start(until_step=1)
    assert path.read_text() == "step,total,head\n1,2,\n"


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_png_is_written(tmp_path: Path, clip: float | None) -> None:
    pytest.importorskip("matplotlib")
    odd = {50: 9.0, 60: math.nan, 70: 0.0}
    record = record_of([odd.get(step, 1 + step / 100) for step in range(1, 101)], gradient_clip_val=clip)
    plot_norms(record, tmp_path / "norms.png", title="grad norms")
    assert (tmp_path / "norms.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir() if "norms" in path.name] == ["norms.png"]


def test_rows_that_do_not_fit_on_the_disk_leave_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = StepTable(tmp_path / "norms.csv", ["step", "total"])
    table.start(until_step=0)
    table.append([{"step": 1, "total": 0.5}])
    before = table.path.read_text()

    class Half(io.StringIO):
        def write(self, text: str) -> int:
            with open(table.path, "a", encoding="utf-8") as file:
                file.write(text[: len(text) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_, **__: Half())
        with pytest.raises(OSError, match="No space left") as caught:
            table.append([{"step": 2, "total": 0.25}])
    assert caught.value.filename == str(table.path)
    assert table.path.read_text() == before
    table.append([{"step": 3, "total": 0.125}])
    assert table.path.read_text() == before + "3,0.125\n"
