"""Values of options: from a word of the command line to what a command needs, or one line that says what to write.

In: a word. Out: a number, a path, bytes. They are argparse's `type=`: what they raise is shown after the option's name.
Only the standard library is imported.
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_UNITS: Final = {"": 10**9, "gb": 10**9, "g": 10**9, "mb": 10**6, "m": 10**6, "gib": 2**30, "mib": 2**20}
_WEIGHT: Final = re.compile(r"\d+(\.\d+)?")
_PLOT_ENDINGS: Final = (".svg", ".png", ".pdf")


def text(word: str) -> str:
    """Any text but an empty one."""
    if not word:
        raise ArgumentTypeError("needs a value")
    return word


def one_of(*known: str) -> Callable[[str], str]:
    """One of a few words.

    Example:
        >>> one_of("text", "csv")("csv")
        'csv'
    """

    def choice(word: str) -> str:
        if text(word) not in known:
            raise ArgumentTypeError(f"is '{word}'; known: {', '.join(known)}")
        return word

    return choice


def whole_number(*, least: int) -> Callable[[str], int]:
    """A whole number that is not below `least`."""

    def number(word: str) -> int:
        if not text(word).isdecimal() or int(word) < least:
            raise ArgumentTypeError(f"is '{word}'; write a whole number from {least} on")
        return int(word)

    return number


def share(word: str) -> float:
    """A number between 0 and 1, both excluded."""
    try:
        value = float(text(word))
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise ArgumentTypeError(f"is '{word}'; write a share between 0 and 1, such as 0.5")
    return value


def weights_of(*known: str) -> Callable[[str], dict[str, float]]:
    """Weights by name; one that is not named weighs nothing.

    Example:
        >>> weights_of("rouge1", "rouge2")("rouge2=3")
        {'rouge2': 3.0}
    """

    def weights(word: str) -> dict[str, float]:
        found: dict[str, float] = {}
        for part in text(word).split(","):
            name, _, number = part.strip().partition("=")
            if name not in known or name in found or not _WEIGHT.fullmatch(number):
                example = ",".join(f"{name}={place}" for place, name in enumerate(known, start=1))
                raise ArgumentTypeError(f"is '{word}'; write weights from 0 on, each once, such as {example}")
            found[name] = float(number)
        if not any(found.values()):
            raise ArgumentTypeError(f"is '{word}', and nothing would count; write a weight above 0")
        return found

    return weights


def memory_size(word: str) -> int:
    """Bytes of a size; a bare number is in GB.

    Example:
        >>> memory_size("24GB"), memory_size("1.5 GiB")
        (24000000000, 1610612736)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text(word).lower())
    if match is None or match[2] not in _UNITS or not float(match[1]):
        raise ArgumentTypeError(f"is '{word}'; give a size such as 24GB, 80GB or 22.5GiB")
    return int(float(match[1]) * _UNITS[match[2]])


def run_name(word: str) -> str:
    """Name of a folder, without the folders above it."""
    if text(word) in (".", "..") or Path(word).name != word:
        raise ArgumentTypeError(f"is '{word}'; write a name without slashes, and where it lies into --runs_dir")
    return word


def path(word: str) -> Path:
    """A path, `~` expanded."""
    return Path(text(word)).expanduser()


def output_file(word: str) -> Path:
    """A file to be written at a command's end, refused now where that could not be done."""
    file = path(word)
    if file.is_dir():
        raise ArgumentTypeError(f"{word} is a folder; give the name of a file in it")
    if not file.parent.is_dir():
        raise ArgumentTypeError(f"{word}: there is no folder {file.parent}; make it first")
    return file


def plot_file(word: str) -> Path:
    """An output file of a kind that matplotlib writes."""
    file = output_file(word)
    if file.suffix.lower() not in _PLOT_ENDINGS:
        raise ArgumentTypeError(f"{word}: unknown ending '{file.suffix}'; use {', '.join(_PLOT_ENDINGS)}")
    if find_spec("matplotlib") is None:
        raise ArgumentTypeError("needs matplotlib, which is not installed: pip install matplotlib")
    return file


def new_folder(word: str) -> Path:
    """A folder that is not there yet, or is empty."""
    folder = path(word)
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ArgumentTypeError(f"{word} exists already; name a new folder, or take that one away")
    return folder
