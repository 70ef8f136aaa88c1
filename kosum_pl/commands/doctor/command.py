"""`doctor`: what would spoil a run, found before it starts.

In: a config and its overrides. Out: one page, a JSON file where one is wanted, and exit code 1 where something is
broken. No weights are loaded and nothing is downloaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kosum_pl.cli.arguments import read_arguments
from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.files import write_atomically

if TYPE_CHECKING:
    from kosum_pl.commands.doctor.report import DoctorReport

EXIT_BROKEN: Final = 1
HELP: Final = """usage: python -m kosum_pl doctor --config NAME [options]

Look for what would spoil a run: versions, machine, special tokens, template, mask, data, constraint. Nothing is
trained, downloaded or loaded but the tokenizer. Exit code 1 when something is broken; warnings alone give 0.

options:
  --config NAME          a config, as for fit; several are laid over each other
  --data.train_file FILE --model.model_name FOLDER ...
                         any option of fit
  --json FILE            also write everything to a file
  --help                 this text"""
_PIPE_WIDTH: Final = 140


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status: 0, or 1 when something is broken.

    Raises:
        ValueError: The command line or the config cannot be read at all.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    value, rest = take_option(arguments, name="--json")
    json_file = output_file(value, option="--json")
    invocation = read_arguments(command, rest)
    from kosum_pl.commands.doctor.checks import examine  # seconds of imports

    report = examine(invocation)
    _print(report)
    if json_file is not None:
        write_atomically(json_file, json.dumps(report.values(), ensure_ascii=False, indent=2) + "\n")
        print(f"written: {json_file}")
    return EXIT_BROKEN if report.status == "broken" else 0


def _print(report: DoctorReport) -> None:
    from rich.console import Console

    # Into a file or a pipe: wide enough for most lines.
    report.print(Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False))
