"""What to change of a fit whose memory ran out.

In: the command line as it was typed, and what of the config decides how much a step takes. Out: options that help
first, and the command that counts what they save, both to paste.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kosum_pl.cli.arguments import words_for
from kosum_pl.runs.memory_watch import Place

_FEWER_WEIGHTS: Final = "train fewer weights (model.adapter), or hold them in less (model.dtype=bfloat16)"


def memory_advice(
    given: Sequence[str],
    *,
    data: Mapping[str, Any],
    num_accumulated: int,
    is_checkpointed: bool,
    place: Place,
    num_rows: int,
) -> str:
    """The last part of a line: what helps first, and how to count it.

    Args:
        given: The command line after `fit`, as it was typed.
        data: `data` of the config.
        num_accumulated: `trainer.accumulate_grad_batches`.
        is_checkpointed: `model.gradient_checkpointing`.
        place: Where memory ran out.
        num_rows: Of the batch it ran out at; 0 where it was at none.

    Example:
        >>> data = {"batch_size": None, "max_batch_tokens": 8192, "eval_batch_size": 16}
        >>> at = {"num_accumulated": 1, "is_checkpointed": True, "place": "training", "num_rows": 8}
        >>> memory_advice(["--config", "own.yaml"], data=data, **at).partition("; ")[0]
        'try --data.max_batch_tokens 4096 --trainer.accumulate_grad_batches 2'
    """
    options: list[str] = []
    if place == "validation":
        options.append(f"--data.eval_batch_size {max(1, data['eval_batch_size'] // 2)}")
    elif place == "training":
        name = "max_batch_tokens" if data["batch_size"] is None else "batch_size"
        if num_rows != 1 and data[name] > 1:
            options.append(f"--data.{name} {data[name] // 2} --trainer.accumulate_grad_batches {2 * num_accumulated}")
        if not is_checkpointed:
            options.append("--model.gradient_checkpointing true")
    plan = shlex.join(["python", "-m", "kosum_pl", "plan", *words_for("plan", given, given_to="fit")])
    helps = f"try {' '.join(options)}" if options else _without_options(place)
    return f"{helps}; what this config needs says {plan}"


def _without_options(place: Place) -> str:
    return f"lower data.max_source_tokens, or {_FEWER_WEIGHTS}" if place == "training" else _FEWER_WEIGHTS
