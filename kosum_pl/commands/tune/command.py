"""`tune`: the decoding preset that summarizes a slice of the validation rows best.

In: a config, a checkpoint and a slice such as `weekday=7`. Out: a preset file, with what it won and on how many rows in
its comments. Half of the rows are never tuned on: the gain is measured there, and where there is none no
preset is written.
"""

from __future__ import annotations

from importlib.util import find_spec

from kosum_pl.cli.arguments import Options, find_invocation
from kosum_pl.errors import UsageError
from kosum_pl.terminal import say


def run(options: Options) -> int:
    """Run the command."""
    if options.output is None or options.output.suffix not in (".yaml", ".yml"):
        raise UsageError("tune needs --output FILE.yaml, such as configs/presets/saturday.yaml")
    invocation = find_invocation(options)
    options.checkpoint = invocation.needed_checkpoint
    if find_spec("optuna") is None:
        raise UsageError("tune needs Optuna, which is not installed: pip install optuna")
    # Seconds of imports, after what can be checked without them.
    from kosum_pl.commands.tune.run import tune

    for line in tune(invocation, options):
        say(line, flush=True)
    return 0
