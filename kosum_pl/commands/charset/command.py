"""`charset`: what a constraint allows and what of the references it would forbid, before a run is spent on it.

In: a config and its overrides. Out: tables on the terminal, and a JSON file where one is wanted. No weights are loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kosum_pl.cli.arguments import Invocation, read_arguments
from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.files import write_atomically

if TYPE_CHECKING:
    from kosum_pl.commands.charset.report import CharsetReport

HELP: Final = """usage: python -m kosum_pl charset --config NAME [options]

Show what model.constraint allows, and what of the train and val references falls outside of it, by frequency. Counted
with what each row's own dialogue licenses. Also: what the tokenizer cannot write. No weights are loaded.

options:
  --config NAME          a config, as for fit; several are laid over each other
  --data.train_file FILE --model.constraint.charset korean+latin ...
                         any option of fit
  --json FILE            also write everything, unshortened, to a file
  --help                 this text"""
_PIPE_WIDTH: Final = 140


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status.

    Raises:
        ValueError: An option, the config or the data is wrong.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    value, rest = take_option(arguments, name="--json")
    json_file = output_file(value, option="--json")
    report = charset_report(read_arguments(command, rest))
    _print(report)
    if json_file is not None:
        write_atomically(json_file, json.dumps(report.values(), ensure_ascii=False, indent=2) + "\n")
        print(f"written: {json_file}")
    return 0


def charset_report(invocation: Invocation) -> CharsetReport:
    """Read a config's references and hold them against its constraint.

    Args:
        invocation: From `read_arguments`.

    Raises:
        ValueError: The config or the data is wrong, or the tokenizer's kind is unknown.
    """
    # Seconds of imports, after everything that can be checked without them.
    from kosum_pl.cli.parts import load_parts
    from kosum_pl.commands.charset.report import CharsetReport
    from kosum_pl.commands.charset.scan import ReferenceScan
    from kosum_pl.commands.charset.vocabulary import Vocabulary
    from kosum_pl.decode import ConstraintSettings

    parts = load_parts(invocation)
    configured = parts.module.evaluation.summarizer.rules.settings
    settings = configured or ConstraintSettings()
    parts.datamodule.setup("fit")
    vocabulary = Vocabulary(parts.module.encoder, settings)
    scan = ReferenceScan(settings, write=vocabulary.write)
    for split, table in parts.datamodule.tables.items():
        for dialogue in table:
            scan.add(dialogue, split=split)
    return CharsetReport(
        settings=settings,
        is_set=configured is not None,
        vocabulary=vocabulary.report,
        scan=scan,
        notes=[*parts.module.notes, *parts.datamodule.report_lines],
    )


def _print(report: CharsetReport) -> None:
    from rich.console import Console

    # Into a file or a pipe: wide enough for the table of characters.
    report.print(Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))
