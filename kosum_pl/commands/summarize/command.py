"""`summarize`: dialogues to summaries, by an exported folder or a run's checkpoint, without a Trainer.

In: the command line: a folder or a config, and dialogues from a file or standard input. Out: summaries as text, CSV or
JSON lines, in the order of the dialogues; progress and notes go to standard error, so that the output can be piped.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kosum_pl.checkpoints.lineage import EXPORT_RECORD
from kosum_pl.cli.arguments import Options, find_invocation
from kosum_pl.cli.options import CONFIG_OPTIONS
from kosum_pl.errors import UsageError


def run(options: Options) -> int:
    """Run the command."""
    names, rest = _positional(options.rest)
    target = names.pop(0) if names and not options.config else None
    if len(names) > 1:
        raise UsageError(f"summarize takes one input, and there are {len(names)}: {', '.join(names)}; join them")
    folder = _export_folder(target)
    options.rest = rest
    if folder is not None:
        given = [f"--{name}" for name in CONFIG_OPTIONS if getattr(options, name)]
        for name in (*given, *rest):
            raise UsageError(f"{name} belongs to a config, and {target} is an exported folder; take it out")
    elif target is not None:
        options.config = [target]
    model = folder or find_invocation(options)
    from kosum_pl.commands.summarize.run import summarize  # seconds of imports

    summarize(names[0] if names else "-", model, options)
    return 0


def _positional(words: Iterable[str]) -> tuple[list[str], tuple[str, ...]]:
    """Words that are no value of an option of the config, and the others: such an option has one value."""
    names: list[str] = []
    rest: list[str] = []
    pending = iter(words)
    for word in pending:
        if word == "-" or not word.startswith("-"):
            names.append(word)
            continue
        rest.append(word)
        if "=" not in word:
            rest += [value] if (value := next(pending, None)) is not None else []
    return names, tuple(rest)


def _export_folder(target: str | None) -> Path | None:
    folder = None if target is None else Path(target).expanduser()
    if folder is None or not folder.is_dir():
        return None
    if not (folder / EXPORT_RECORD).is_file():
        raise UsageError(f"{target} has no {EXPORT_RECORD}; give a folder that `export` has written, or a config")
    return folder
