"""The picture is drawn, also from norms that are no numbers."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from kosum_pl.callbacks.grad_norm.plot import plot_norms
from kosum_pl.callbacks.grad_norm.record import NormRecord, NormStep


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_png_is_written(tmp_path: Path, clip: float | None) -> None:
    pytest.importorskip("matplotlib")
    record = NormRecord(gradient_clip_val=clip)
    for step in range(1, 101):
        record.add(NormStep(step=step, norm={50: 9.0, 60: math.nan, 70: 0.0}.get(step, 1 + step / 100)))
    plot_norms(record, tmp_path / "norms.png", title="grad norms")
    assert (tmp_path / "norms.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir() if "norms" in path.name] == ["norms.png"]
