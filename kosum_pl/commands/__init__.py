"""Commands that are no run of the Trainer, one file each with `run(command, arguments) -> int`.

In: what follows a command's name. Out: an exit status and what the command prints. A command's file imports nothing
heavy at its top, so that its help and its user's slips are answered at once.
"""
