"""A batch that does not fit into memory, computed in halves.

In: a batch of an evaluation, and what is computed of it. Out: the same of its rows, in their order: of the whole batch
where that fits, else of two halves, and of halves of those, down to one row. Days of training must not end because a
validation met its longest rows. A batch that fits costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import torch
from lightning.pytorch.utilities.memory import garbage_collection_cuda

from kosum_pl.decode import DecodingPreset
from kosum_pl.encode import Batch
from kosum_pl.errors import UsageError, is_out_of_memory, memory_statement
from kosum_pl.terminal import say

_Found = TypeVar("_Found")
_SMALLER: Final = "a smaller model, model.dtype=bfloat16 or model.quantization=nf4"
_has_said = False


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What is computed of a batch, for messages.

    Attributes:
        work: What happens to it: `is generated`.
        preset: Under which it is generated; None for anything else.
        together: Name of what makes several ranks compute together, so that none may split alone; empty without.
    """

    work: str = "is generated"
    preset: DecodingPreset | None = None
    together: str = ""

    def of(self, batch: Batch) -> str:
        """A batch in words: rows, tokens and beams."""
        tokens = batch.input_ids if self.preset is None or batch.prompt_ids is None else batch.prompt_ids
        num_rows, num_tokens = tokens.shape
        beams = f" with {self.preset.num_beams} beams" if self.preset is not None and self.preset.num_beams > 1 else ""
        return f"a batch of {num_rows} {'row' if num_rows == 1 else 'rows'} x {num_tokens:,} tokens{beams}"


def in_parts(
    batch: Batch, compute: Callable[[Batch, range], _Found], *, demand: Demand
) -> Iterator[tuple[Batch, range, _Found]]:
    """What is computed of a batch, in as many parts as it takes; one where it fits.

    A half is the batch that half of `data.eval_batch_size` would have made, and so are its results: to the last bit
    without sampling. With sampling they may differ, since a batch's draws depend on its first row.

    Args:
        batch: With prompts.
        compute: Takes a part and its places in the batch; called again for less where memory runs out.
        demand: What `compute` does.

    Yields:
        A part, its places in the batch, and what was computed of it, in the batch's order.

    Raises:
        UsageError: One row alone does not fit, or ranks compute together.
    """
    pending = [range(len(batch.rows))]
    is_split = False
    while pending:
        places = pending.pop()
        part = batch.select(places) if is_split else batch
        found = _attempt(compute, part, places)
        if not isinstance(found, _Refusal):
            if is_split:
                _say_once(batch, len(places), demand)
            yield part, places, found
            continue
        _check_can_split(part, demand, found.statement)
        is_split = True
        # Only here: within the `except` block the error's frames still hold what did not fit beside the rest.
        garbage_collection_cuda()
        middle = -(-len(places) // 2)
        pending += [places[middle:], places[:middle]]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Memory ran out; what the allocator says."""

    statement: str


def _attempt(compute: Callable[[Batch, range], _Found], part: Batch, places: range) -> _Found | _Refusal:
    try:
        return compute(part, places)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return _Refusal(memory_statement(error))


def _check_can_split(part: Batch, demand: Demand, statement: str) -> None:
    if len(part.rows) == 1:
        raise UsageError(_row_line(part, demand, statement))
    if demand.together:
        raise UsageError(
            f"{demand.of(part)} does not fit into memory ({statement}), and with {demand.together} no rank can split "
            f"its own: set data.eval_batch_size={-(-len(part.rows) // 2)}"
        )


def _row_line(part: Batch, demand: Demand, statement: str) -> str:
    """What to say of a row that is too much by itself."""
    assert part.prompt_mask is not None
    num_tokens = int(part.prompt_mask.sum())
    what = f"row {part.example_ids[0]} alone does not fit into memory ({statement})"
    if demand.preset is None:
        return (
            f"{what} when it {demand.work}: {part.input_ids.shape[1]:,} tokens; lower data.max_source_tokens or "
            f"data.max_summary_tokens, or take {_SMALLER}"
        )
    preset = demand.preset
    beams = f"{preset.num_beams} beam{'' if preset.num_beams == 1 else 's'}"
    fewer = f"a preset with fewer than num_beams: {preset.num_beams} (model.preset, within fit model.fit_preset), "
    return (
        f"{what}: {num_tokens:,} prompt tokens, {beams}, at most {preset.max_new_tokens_of(num_tokens):,} new tokens "
        f"by preset '{preset.name}'; take {fewer if preset.num_beams > 1 else ''}lower data.max_source_tokens or "
        f"max_new_tokens, or take {_SMALLER}"
    )


def _say_once(batch: Batch, num_rows: int, demand: Demand) -> None:
    """Say once in a process that batches are split; the part that fitted is the first, of the longest rows."""
    global _has_said
    if _has_said:
        return
    _has_said = True
    parts = f"in parts of {num_rows}" if num_rows > 1 else "row by row"
    is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = f"rank {torch.distributed.get_rank()}: " if is_distributed else ""
    say(
        f"kosum_pl: warning: {rank}{demand.of(batch)} did not fit into memory and {demand.work} {parts}; "
        f"set data.eval_batch_size={num_rows} (summarize: --batch_size {num_rows}) to spare the attempts",
        file=sys.stderr,
        flush=True,
    )
