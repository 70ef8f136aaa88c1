"""Entry of `python -m kosum_pl` and of the console script `kosum_pl`: finds the command and tells of errors.

In: the command line. Out: an exit status (0 done, 2 the user's error in one line, 130 interrupted, 143 terminated and
so on with other signals, 141 nobody reads the output any more). A command's code is imported only when it runs, so that
help and misspelt names answer at once.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from kosum_pl import __version__, signals
from kosum_pl.cli.options import COMMANDS, TRAINER_COMMANDS, option_parser
from kosum_pl.errors import UsageError, add_report_note, one_line, user_error_line
from kosum_pl.terminal import say

EXIT_USER_ERROR: Final = 2
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with signals.stopping():
            status = _dispatch(words)
        sys.stdout.flush()
        return status
    except signals.Stopped as stop:
        say(f"kosum_pl: stopped by {stop.number.name}{_ending(stop)}", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt as interrupt:
        say(f"kosum_pl: interrupted{_ending(interrupt)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        if not _is_output_closed():
            raise
        return EXIT_BROKEN_PIPE
    except Exception as error:
        line = user_error_line(error)
        if line is None:
            add_report_note(error)
        if line is None or os.environ.get("KOSUM_DEBUG") == "1":
            raise
        say(f"kosum_pl: error: {line}", file=sys.stderr)
        return EXIT_USER_ERROR


def help_text() -> str:
    """What a bare `--help` prints."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
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
    is_trainers = first in TRAINER_COMMANDS
    if not is_trainers and {"-h", "--help"}.intersection(words):
        print(option_parser(first).format_help(), end="")
        return 0
    from kosum_pl.cli.arguments import parse_options

    module = "kosum_pl.cli.run" if is_trainers else f"kosum_pl.commands.{first}.command"
    return int(importlib.import_module(module).run(parse_options(first, words[1:])))


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


def _ending(interrupt: BaseException) -> str:
    return f"; {one_line(str(interrupt))}" if str(interrupt) else ""


if __name__ == "__main__":
    sys.exit(main())
