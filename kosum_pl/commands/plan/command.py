"""`plan`: whether a config's training fits into a device's memory, before anything is downloaded or loaded.

In: a config and its overrides. Out: a table on the terminal, and a JSON file where one is wanted; exit status 0 where
it fits, 1 where it does not. The model is built without storage, so that eight billion parameters cost nothing.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kosum_pl.cli.arguments import Invocation, read_arguments
from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.errors import UsageError
from kosum_pl.files import write_atomically

if TYPE_CHECKING:
    from kosum_pl.commands.plan.report import PlanReport

HELP: Final = """usage: python -m kosum_pl plan --config NAME [options]

Count the memory of a training step: weights, adapter, optimizer, gradients, activations and logits of this config's
largest batch, and whether they fit. Where they do not: the fewest changes that make them fit, as options to paste.
Batches are those of data.train_file, where it lies here, and one of rows at the limits. Nothing is downloaded but a hub
model's config and tokenizer, and no weights are loaded.
Exit status: 0 it fits, 1 it does not.

options:
  --config NAME    a config, as for fit; several are laid over each other
  --memory 24GB    of the device (MB, GB: powers of ten; MiB, GiB); default: this machine's GPU, else 24GB
  --model.gradient_checkpointing true --data.batch_size 4 ...
                   any option of fit
  --json FILE      also write everything, in bytes, to a file
  --help           this text"""
_PIPE_WIDTH: Final = 140
_DEFAULT_MEMORY: Final = "24GB"
_UNITS: Final = {"": 10**9, "gb": 10**9, "g": 10**9, "mb": 10**6, "m": 10**6, "gib": 2**30, "mib": 2**20}


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status: 0 where the training fits, 1 where it does not.

    Raises:
        ValueError: An option or the config is wrong.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    json_value, rest = take_option(arguments, name="--json")
    json_file = output_file(json_value, option="--json")
    memory_value, rest = take_option(rest, name="--memory")
    memory = None if memory_value is None else parse_memory(memory_value)
    report = plan_report(read_arguments(command, rest), memory=memory)
    _print(report)
    if json_file is not None:
        write_atomically(json_file, json.dumps(report.values(), ensure_ascii=False, indent=2) + "\n")
        print(f"written: {json_file}")
    return 0 if report.fits else 1


def parse_memory(text: str) -> int:
    """Bytes of a size; a bare number is in GB.

    Args:
        text: Such as `24GB`.

    Raises:
        ValueError: It is no size.

    Example:
        >>> parse_memory("24GB"), parse_memory("1.5 GiB")
        (24000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.lower())
    if match is None or match[2] not in _UNITS or not float(match[1]):
        raise UsageError(f"--memory is '{text}'; give a size such as 24GB, 80GB or 22.5GiB")
    return int(float(match[1]) * _UNITS[match[2]])


def plan_report(invocation: Invocation, *, memory: int | None) -> PlanReport:
    """Count a config's memory.

    Args:
        invocation: From `read_arguments`.
        memory: Bytes of the device; None for this machine's GPU, else 24 GB.

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
        proposals=() if counted.total <= room else proposals(settings, memory=room, cache=cache),
    )


def _device_memory() -> tuple[int, str]:
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory), torch.cuda.get_device_name(0)
    return parse_memory(_DEFAULT_MEMORY), "no GPU here, so a card of 24 GB"


def _print(report: PlanReport) -> None:
    from rich.console import Console

    # Into a file or a pipe: wide enough for the table.
    report.print(Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))
