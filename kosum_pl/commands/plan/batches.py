"""The batches that the training rows really make.

In: a config's parts. Out: `RowLengths`, and the sizes of the batches that `fit` would cut from them. Under a budget of
padded tokens short rows come many to a batch: a hundred short dialogues have more summaries, and so more logits, than
ten of the longest. Rows are read only where they lie on this machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kosum_pl.cli.parts import Parts
from kosum_pl.commands.plan.shapes import BatchShape
from kosum_pl.data import TokenBudgetBatchSampler
from kosum_pl.data.read.source import find_sources
from kosum_pl.errors import user_error_line

_NUM_EPOCHS: Final = 3  # rows of like length change their order from epoch to epoch
_NUM_CACHED: Final = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class RowLengths:
    """Lengths of the training rows, in tokens.

    Attributes:
        prompts: Of what is read before the summary, (N,).
        lengths: Of what the batch's budget counts, (N,): for a causal model prompt and summary.
        supervised: Positions with a loss, (N,).
        weights: How often an epoch visits each row, (N,); None: once.
    """

    prompts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    supervised: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None
    seed: int = 42


def read_rows(parts: Parts) -> tuple[RowLengths | None, str]:
    """Lengths of `data.train_file`, encoded or found encoded in the cache; or None and why it was not read."""
    data = parts.config["data"]
    if not data["train_file"]:
        return None, "data.train_file is not set"
    try:
        sources = find_sources(data["train_file"], argument="data.train_file")
        if not all(source.files for source in sources):
            return None, "data.train_file comes from a hub"
        table, encoded = parts.datamodule.load("train")
    except (ValueError, FileNotFoundError) as error:
        line = user_error_line(error)
        if line is None:
            raise
        return None, line
    rows = RowLengths(
        prompts=encoded.prompt_lengths.astype(np.int64),
        lengths=encoded.lengths.astype(np.int64),
        supervised=encoded.num_supervised.astype(np.int64),
        weights=table.row_weights,
        seed=int(data["seed"]),
    )
    return rows, ""


@lru_cache(maxsize=_NUM_CACHED)
def batch_shapes(
    rows: RowLengths, *, is_causal: bool, max_source_tokens: int, max_batch_tokens: int | None, batch_size: int | None
) -> tuple[BatchShape, ...]:
    """Sizes of the first epochs' batches, the largest alone of those with the same rows and length."""
    lengths = rows.lengths - rows.prompts + np.minimum(rows.prompts, max_source_tokens)
    sampler = TokenBudgetBatchSampler(
        lengths, max_batch_tokens=max_batch_tokens, batch_size=batch_size, seed=rows.seed, row_weights=rows.weights
    )
    largest: dict[tuple[int, int], tuple[int, int]] = {}
    for epoch in range(_NUM_EPOCHS):
        sampler.set_epoch(epoch)
        for batch in map(np.asarray, sampler):
            supervised = rows.supervised[batch]
            size = len(batch), int(lengths[batch].max())
            seen = largest.get(size, (0, 0))
            largest[size] = max(seen[0], int(supervised.sum())), max(seen[1], int(supervised.max()))
    return tuple(
        BatchShape(
            num_rows=num_rows,
            source_length=0 if is_causal else length,
            target_length=length if is_causal else longest_summary,
            num_supervised=num_supervised,
        )
        for (num_rows, length), (num_supervised, longest_summary) in largest.items()
    )
