"""YAML in options of the config's own parser, which knows no bounds of its own.

In: the words of a command line that are no options of ours. Out: nothing, or one line. A value is YAML, and may be the
name of a YAML file with a part of a config.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kosum_pl.errors import UsageError
from kosum_pl.plain_yaml import OutOfBoundsError, compose_plain, read_plain

_ENDINGS: Final = (".yaml", ".yml")


def check_option_bounds(words: Sequence[str]) -> None:
    """Refuse values whose YAML is out of bounds; one that is no YAML at all is a text, and the parser's affair.

    Raises:
        UsageError: The first that is.
    """
    name = "option"
    for word in words:
        option, has_value, value = word.partition("=") if word.startswith("-") else (name, "=", word)
        name = option
        if not has_value:
            continue
        if value.endswith(_ENDINGS) and Path(value).is_file():
            read_plain(Path(value))
            continue
        try:
            compose_plain(value, where=name)
        except OutOfBoundsError:
            raise
        except UsageError:
            continue
