"""`plan`: whether a config's training fits into a device's memory, before anything is downloaded or loaded.

In: a config and its overrides. Out: a table on the terminal, and a JSON file where one is wanted; exit status 0 where
it fits, 1 where it does not. The model is built without storage, so that eight billion parameters cost nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kosum_pl.cli.arguments import Invocation, Options, find_invocation
from kosum_pl.commands.output import show, write_values

if TYPE_CHECKING:
    from kosum_pl.commands.plan.report import PlanReport

_DEFAULT_MEMORY: Final = 24 * 10**9


def run(options: Options) -> int:
    """Run the command; the exit status is 0 where the training fits, 1 where it does not."""
    report = plan_report(find_invocation(options), memory=options.memory)
    show(report)
    write_values(report.values(), options.json)
    return 0 if report.fits else 1


def plan_report(invocation: Invocation, *, memory: int | None) -> PlanReport:
    """Count a config's memory.

    `memory` is the device's, in bytes; None for this machine's GPU, else 24 GB.

    Raises:
        ValueError: The config is wrong, or its model cannot be built.
    """
    # Seconds of imports, after everything that can be checked without them.
    from kosum_pl.cli.parts import load_parts
    from kosum_pl.commands.plan.advice import proposals
    from kosum_pl.commands.plan.batches import read_rows
    from kosum_pl.commands.plan.count import ShapeCache
    from kosum_pl.commands.plan.report import PlanReport
    from kosum_pl.commands.plan.settings import plan_settings

    parts, cache = load_parts(invocation), ShapeCache()
    rows, unread = read_rows(parts)
    settings = replace(plan_settings(parts), rows=rows)
    batch, counted = cache.largest(settings)
    room, source = (memory, "--memory") if memory is not None else _device_memory()
    return PlanReport(
        settings=settings,
        shape=cache.shape(settings)[0],
        batch=batch,
        unread=unread,
        estimate=counted,
        memory=room,
        memory_source=source,
        limit_lines=parts.datamodule.splits.limit_lines,
        proposals=() if counted.total <= room else proposals(settings, memory=room, cache=cache),
    )


def _device_memory() -> tuple[int, str]:
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory), torch.cuda.get_device_name(0)
    return _DEFAULT_MEMORY, "no GPU here, so a card of 24 GB"
