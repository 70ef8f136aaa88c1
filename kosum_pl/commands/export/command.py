"""`export`: a checkpoint as a Hugging Face folder that answers as the trained model does.

In: a config, its overrides and a checkpoint. Out: a folder with weights or an adapter, tokenizer, `kosum.json` and
golden prompts, and the scores of a sample before and after. The folder appears under its name only when it is complete.
"""

from __future__ import annotations

from kosum_pl.cli.arguments import Options, find_invocation
from kosum_pl.errors import UsageError
from kosum_pl.terminal import say


def run(options: Options) -> int:
    """Run the command."""
    invocation = find_invocation(options)
    options.checkpoint = invocation.needed_checkpoint
    if options.output is None:
        raise UsageError("export needs --output DIR")
    # Seconds of imports, after what can be checked without them.
    from kosum_pl.commands.export.run import export

    for line in export(invocation, options):
        say(line, flush=True)
    return 0
