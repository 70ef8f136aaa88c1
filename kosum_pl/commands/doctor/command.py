"""`doctor`: what would spoil a run, found before it starts.

In: a config and its overrides. Out: one page, a JSON file where one is wanted, and exit code 1 where something is
broken. No weights are loaded and nothing is downloaded.
"""

from __future__ import annotations

from typing import Final

from kosum_pl.cli.arguments import Options, find_invocation
from kosum_pl.commands.output import show, write_values

EXIT_BROKEN: Final = 1


def run(options: Options) -> int:
    """Run the command; the exit status is 1 when something is broken."""
    invocation = find_invocation(options)
    from kosum_pl.commands.doctor.checks import examine  # seconds of imports

    report = examine(invocation)
    show(report)
    write_values(report.values(), options.json)
    return EXIT_BROKEN if report.status == "broken" else 0
