"""Commands that are no run of the Trainer, a sub-package each, whose `command.py` has `run(options) -> int`.

In: options, as `cli.options` declares them. Out: an exit status and what the command prints. A command's file imports
nothing heavy at its top, so that its user's slips are answered at once.
"""
