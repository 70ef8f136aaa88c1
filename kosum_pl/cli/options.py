"""Options that commands have beside those of `fit`.

In: what follows a command's name. Out: the values of a command's own options, and the rest for the config's parser.
Only the standard library is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kosum_pl.errors import UsageError


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command's help shall be shown.

    Example:
        >>> asks_for_help(["--config", "demo", "--help"]), asks_for_help(["--config", "demo"])
        (True, False)
    """
    return any(argument in ("-h", "--help") for argument in arguments)


def take_option(arguments: Sequence[str], *, name: str) -> tuple[str | None, list[str]]:
    """Value of one option, the last one given wins, and all other arguments.

    Args:
        arguments: What follows the command.
        name: The option, such as `--json`.

    Raises:
        ValueError: The option has no value.

    Example:
        >>> take_option(["--config", "demo", "--json=a.json", "--x", "1"], name="--json")
        ('a.json', ['--config', 'demo', '--x', '1'])
    """
    taken, rest = None, []
    pending = iter(arguments)
    for argument in pending:
        option, has_value, value = argument.partition("=")
        if option != name:
            rest.append(argument)
            continue
        taken = value if has_value else next(pending, "")
        if not taken or (not has_value and taken.startswith("--")):
            raise UsageError(f"{name} needs a value")
    return taken, rest


def output_file(value: str | None, *, option: str) -> Path | None:
    """A file to be written at a command's end, refused now where that could not be done.

    Args:
        value: As given; None for no file.
        option: Its option, for the message.

    Raises:
        ValueError: It is a folder, or its folder does not exist.
    """
    if value is None:
        return None
    path = Path(value).expanduser()
    if path.is_dir():
        raise UsageError(f"{option} {value} is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"{option} {value}: there is no folder {path.parent}; make it first")
    return path
