from __future__ import annotations

from typing import Any

import pytest

from kosum_pl.cli.arguments import words_for
from kosum_pl.cli.memory_advice import memory_advice

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "tokens": ({}, "try --data.max_batch_tokens 4096 --trainer.accumulate_grad_batches 4"),
    "one row": ({"num_rows": 1}, "lower data.max_source_tokens, or train fewer weights (model.adapter), or hold them"),
    "activations": (
        {"num_rows": 1, "is_checkpointed": False},
        "try --model.gradient_checkpointing true; what this config needs says",
    ),
    "validation": ({"place": "validation"}, "try --data.eval_batch_size 16; what"),
    "start": ({"place": "start", "is_checkpointed": False}, "train fewer weights (model.adapter), or hold them in "),
    "rows": (
        {"data": {"batch_size": 3, "max_batch_tokens": None}},
        "try --data.batch_size 1 --trainer.accumulate_grad_batches 4",
    ),
    "a single row": ({"data": {"batch_size": 1, "max_batch_tokens": None}}, "lower data.max_source_tokens, or train"),
}


@pytest.mark.parametrize(("changed", "words"), CASES.values(), ids=CASES.keys())
def test_what_helps_first(changed: dict[str, Any], words: str) -> None:
    data = {"batch_size": None, "max_batch_tokens": 8_192, "eval_batch_size": 32}
    usual: dict[str, Any] = {"num_accumulated": 2, "is_checkpointed": True, "place": "training", "num_rows": 8}
    found = memory_advice(["--config", "a b.yaml"], **{"data": data, **usual, **changed})
    assert found.startswith(words)
    assert found.endswith("what this config needs says python -m kosum_pl plan --config 'a b.yaml'")


def test_another_command_gets_what_it_takes() -> None:
    given = [
        "--config=demo",
        "--safe_csv",
        "--ckpt_path",
        "last",
        "--init_from=x",
        "--model.dtype",
        "float64",
        "--preset",
        "p",
    ]
    assert words_for("plan", given, given_to="fit") == ["--config=demo", "--model.dtype", "float64", "--preset", "p"]
