"""`fit`, `validate`, `test` and `predict`: options in, exit status out.

It stands between the options, which are checked at once, and LightningCLI, whose import takes seconds.
"""

from __future__ import annotations

from kosum_pl.cli.arguments import Options, find_invocation


def run(options: Options) -> int:
    """Check the options, and only then load what runs the command."""
    invocation = find_invocation(options)
    from kosum_pl.cli.lightning_cli import run_command  # seconds of imports

    return run_command(invocation)
