"""Entry of `python -m kosum_pl` and of the console script `kosum_pl`: finds the command and tells of errors.

In: the command line. Out: an exit status (0 done, 2 the user's error in one line, 130 interrupted, 141 nobody reads
the output any more). A command's code is imported only when it runs, so that help and misspelt names answer at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from kosum_pl import __version__
from kosum_pl.errors import UsageError, one_line, user_error_line

EXIT_USER_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141

# Name: (what it does, module with `run(command, arguments) -> int`). A new command is a line here and a file in
# kosum_pl/commands/.
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "fit": ("train, and keep the checkpoint with the best generated ROUGE", "kosum_pl.cli.arguments"),
    "validate": ("score a checkpoint on data.val_file", "kosum_pl.cli.arguments"),
    "test": ("score a checkpoint on data.test_file", "kosum_pl.cli.arguments"),
    "predict": ("write a submission for data.predict_file", "kosum_pl.cli.arguments"),
    "charset": ("show what may be generated, and what of the references may not", "kosum_pl.commands.charset.command"),
    "export": ("write a checkpoint as a Hugging Face folder", "kosum_pl.commands.export.command"),
    "summarize": ("summarize dialogues by an exported folder or a checkpoint", "kosum_pl.commands.summarize.command"),
    "doctor": ("look for what would spoil a run, before it starts", "kosum_pl.commands.doctor.command"),
    "drift": ("hold val, test and predict rows against train", "kosum_pl.commands.drift.command"),
    "gate": ("hold a run's scores against rules, for CI", "kosum_pl.commands.gate.command"),
    "init": ("lay out a working folder: config, preset, callback, data stub", "kosum_pl.commands.init.command"),
    "plan": ("count the memory of a training step, before anything is downloaded", "kosum_pl.commands.plan.command"),
    "report": ("write one page of a run, or of several side by side", "kosum_pl.commands.report.command"),
    "tune": ("search the decoding preset of a slice of the val rows", "kosum_pl.commands.tune.command"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The command line without the program's name; None for the process's own.

    Returns:
        The exit status.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt as interrupt:
        print(f"kosum_pl: interrupted{_told(interrupt)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        if not _is_output_closed():
            raise
        return EXIT_BROKEN_PIPE
    except Exception as error:
        line = user_error_line(error)
        if line is None or os.environ.get("KOSUM_DEBUG") == "1":
            raise
        print(f"kosum_pl: error: {line}", file=sys.stderr)
        return EXIT_USER_ERROR


def help_text() -> str:
    """What a bare `--help` prints."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, (summary, _) in COMMANDS.items())
    return (
        "usage: python -m kosum_pl COMMAND --config NAME [options]\n\n"
        f"Train, choose, evaluate and use Korean dialogue summarizers.\n\ncommands:\n{commands}\n\n"
        "options:\n  --help     this text; `COMMAND --help` shows all options of a command\n"
        "  --version  the version\n\n"
        "first run: python -m kosum_pl fit --config demo\n"
        "KOSUM_DEBUG=1 shows the traceback of an error."
    )


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else ""
    if first in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if first == "--version":
        print(f"kosum_pl {__version__}")
        return 0
    if first not in COMMANDS:
        raise UsageError(_unknown_command(first))
    status = importlib.import_module(COMMANDS[first][1]).run(first, words[1:])
    return int(status)


def _unknown_command(word: str) -> str:
    known = f"commands: {', '.join(COMMANDS)}; see --help"
    if not word:
        return f"a command is missing; {known}"
    if word.startswith("-"):
        return f"'{word}' stands before the command; {known}"
    nearest = difflib.get_close_matches(word, COMMANDS, n=1)
    guess = f"; did you mean '{nearest[0]}'?" if nearest else ";"
    return f"unknown command '{word}'{guess} {known}"


def _is_output_closed() -> bool:
    """Whether nobody reads standard output any more (`… | head`); what is still to be written goes nowhere then."""
    try:
        print(flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
        return True
    return False


def _told(interrupt: KeyboardInterrupt) -> str:
    return f"; {one_line(str(interrupt))}" if str(interrupt) else ""


if __name__ == "__main__":
    sys.exit(main())
