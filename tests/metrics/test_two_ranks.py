"""Under two ranks every row is scored once, and both ranks know all scores and predictions."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.metrics import BERTSCORE_NAMES, SIMILARITY_NAMES


def run(repository: Path, folder: Path, encoder: str, num_ranks: int) -> list[dict[str, Any]]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={num_ranks}"] if num_ranks > 1 else []
    command = [sys.executable, *launcher, "-m", "tests.metrics.scores_of_two_ranks", str(folder), encoder]
    done = subprocess.run([*command, str(num_ranks)], cwd=repository, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [
        json.loads((folder / f"rank_{rank}_of_{num_ranks}.json").read_text(encoding="utf-8"))
        for rank in range(num_ranks)
    ]


def is_summed(name: str) -> bool:
    """Whether a score is a sum of one table; a loss is summed batch by batch, and encoders read other batches."""
    return name.split("/")[1] not in ("loss", *BERTSCORE_NAMES, *SIMILARITY_NAMES)


@pytest.mark.slow
def test_two_ranks_score_what_one_scores(
    repository: Path, tmp_path: Path, tiny_encoder: str, cut_demo: Callable[[int, int], dict[str, str]]
) -> None:
    """23 rows in two presets' batches of four: neither rank gets the same number of rows."""
    with Path(cut_demo(1, 23)["val_file"]).open(encoding="utf-8", newline="") as file:
        expected_ids = [row["fname"] for row in csv.DictReader(file)]
    (alone,) = run(repository, tmp_path, tiny_encoder, 1)
    both = run(repository, tmp_path, tiny_encoder, 2)
    for record in both:
        assert record["ids"] == record["predicted"] == expected_ids
        assert list(record["scores"]) == list(alone["scores"])
        assert record["scores"] == pytest.approx(alone["scores"], rel=1e-6)
        different = {name for name, value in alone["scores"].items() if record["scores"][name] != value}
        assert not list(filter(is_summed, different))
    # Each rank embeds the references of its own rows.
    assert [sum(parts) for parts in zip(*(record["embedded"] for record in both), strict=True)] == alone["embedded"]
