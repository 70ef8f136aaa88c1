"""Under two ranks every row is scored once, and both ranks know all scores and predictions."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.lookup import resolve_path

SCRIPT = Path(__file__).with_name("scores_of_two_ranks.py")


def run(folder: Path, num_ranks: int) -> list[dict[str, Any]]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_ranks}"] if num_ranks > 1 else []
    command = [sys.executable, *launcher, str(SCRIPT), str(folder), str(num_ranks)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        json.loads((folder / f"rank_{rank}_of_{num_ranks}.json").read_text(encoding="utf-8"))
        for rank in range(num_ranks)
    ]


@pytest.mark.slow
def test_two_ranks_score_what_one_scores(tmp_path: Path) -> None:
    """23 rows in two presets' batches of four: neither rank gets the same number of rows."""
    with Path(resolve_path("demo:dev.csv")).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[:24]
    with (tmp_path / "dev.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    (alone,) = run(tmp_path, 1)
    both = run(tmp_path, 2)
    expected_ids = [row[0] for row in rows[1:]]
    for record in both:
        assert record["ids"] == record["predicted"] == expected_ids
        assert record["scores"].pop("val/loss") == pytest.approx(alone["scores"]["val/loss"], rel=1e-6)
        assert record["scores"].items() <= alone["scores"].items(), "scores of summaries are sums of one table"
        assert len(record["scores"]) == len(alone["scores"]) - 1
