"""The fewest changes of a config that make it fit, each counted again before it is proposed.

In: settings, and the memory there is. Out: lists of changes with the options to paste. They are tried in the order of
what they cost: time first (checkpointing, smaller batches), then precision, then what is learnt, then the data.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kosum_pl.commands.plan.count import ShapeCache
from kosum_pl.commands.plan.memory import MemoryEstimate
from kosum_pl.commands.plan.settings import PlanSettings
from kosum_pl.models.adapters import AdapterSettings

_NUM_PROPOSALS: Final = 3
_SHORTER: Final = "shorter prompts"
_SHARES_OF_LENGTH: Final = (0.75, 0.5, 0.25)
_EIGHT_BIT: Final = {"adamw": "adamw_8bit", "paged_adamw": "paged_adamw_8bit"}


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Changes that fit: their names, what to add to the command line, and the memory with them."""

    names: tuple[str, ...]
    options: tuple[str, ...]
    estimate: MemoryEstimate


def proposals(settings: PlanSettings, *, memory: int, cache: ShapeCache) -> list[Proposal]:
    """The smallest sets of changes that fit into so many bytes, at most three; none where nothing helps."""
    for size in range(1, len(_CHANGES) + 1):
        combinations = itertools.combinations(_CHANGES, size)
        tried = (first_fit(settings, names, memory=memory, cache=cache) for names in combinations)
        found = [proposal for proposal in tried if proposal is not None]
        if found:
            return found[:_NUM_PROPOSALS]
    return []


def first_fit(settings: PlanSettings, names: Sequence[str], *, memory: int, cache: ShapeCache) -> Proposal | None:
    """The mildest form of some changes that fits."""
    # Shorter rows first: they are what allows a smaller budget.
    for changed in _variants(settings, sorted(names, key=lambda name: name != _SHORTER)):
        _, counted = cache.largest(changed)
        if counted.total <= memory:
            options = tuple(changed.options_from(settings))
            return Proposal(names=tuple(names), options=options, estimate=counted)
    return None


def _variants(settings: PlanSettings, names: Sequence[str]) -> Iterator[PlanSettings]:
    if not names:
        yield settings
        return
    for changed in _CHANGES[names[0]](settings):
        yield from _variants(changed, names[1:])


def _adapted(settings: PlanSettings) -> Iterator[PlanSettings]:
    if settings.adapter is None:
        source = replace(settings.source, dtype="bfloat16")
        precision = settings.precision if settings.precision.startswith(("bf16", "16")) else "bf16-mixed"
        yield replace(settings, adapter=AdapterSettings(), source=source, precision=precision)


def _four_bit(settings: PlanSettings) -> Iterator[PlanSettings]:
    if settings.adapter is not None and settings.source.quantization != "nf4" and not settings.source.gguf_file:
        yield replace(settings, source=replace(settings.source, quantization="nf4"))


def _checkpointed(settings: PlanSettings) -> Iterator[PlanSettings]:
    if not settings.gradient_checkpointing:
        yield replace(settings, gradient_checkpointing=True)


def _smaller_batches(settings: PlanSettings) -> Iterator[PlanSettings]:
    """The same tokens an optimizer step, in more and smaller batches."""
    for factor in range(2, settings.num_rows + 1):
        accumulated = settings.accumulate_grad_batches * factor
        if settings.batch_size is not None:
            if settings.batch_size % factor == 0:
                rows = settings.batch_size // factor
                yield replace(settings, batch_size=rows, accumulate_grad_batches=accumulated)
        elif settings.max_batch_tokens is not None and settings.max_batch_tokens % factor == 0:
            tokens = settings.max_batch_tokens // factor
            if tokens >= settings.row_length:
                yield replace(settings, max_batch_tokens=tokens, accumulate_grad_batches=accumulated)


def _smaller_evaluation(settings: PlanSettings) -> Iterator[PlanSettings]:
    rows = settings.eval_batch_size
    while rows > 1:
        rows //= 2
        yield replace(settings, eval_batch_size=rows)


def _smaller_moments(settings: PlanSettings) -> Iterator[PlanSettings]:
    if settings.optimizer in _EIGHT_BIT:
        yield replace(settings, optimizer=_EIGHT_BIT[settings.optimizer])


def _shorter(settings: PlanSettings) -> Iterator[PlanSettings]:
    for share in _SHARES_OF_LENGTH:
        length = 8 * math.floor(settings.max_source_tokens * share / 8)
        if length >= settings.max_summary_tokens:
            yield replace(settings, max_source_tokens=length)


_CHANGES: Final[dict[str, Callable[[PlanSettings], Iterator[PlanSettings]]]] = {
    "gradient checkpointing": _checkpointed,
    "smaller batches, accumulated": _smaller_batches,
    "smaller evaluation batches": _smaller_evaluation,
    "8-bit moments": _smaller_moments,
    "LoRA": _adapted,
    "nf4 base": _four_bit,
    _SHORTER: _shorter,
}
