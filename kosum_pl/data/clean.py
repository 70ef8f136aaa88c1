"""Text of a cell → text of a dialogue: named steps, run in the order the config lists them.

In: a string as a file holds it. Out: a string whose turns stand one a line. Real exports mix line ends, spell a line
break as a backslash and an n or as `<br>`, and carry invisible characters; every one of them would become tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kosum_pl.extensions import find_extension

CleaningStep = Callable[[str], str]
"""One step: text of a cell or a turn → cleaned text; no state, nothing but the text decides. A plug-in is such a
function under a name of its own in `CLEANING_STEPS`."""

_LINE_END = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_LITERAL_NEWLINE = re.compile(r"(?:\\r)?\\n")
_BR_TAG = re.compile(r"<\s*/?\s*br\s*/?\s*>", re.IGNORECASE)
# The zero-width joiner stays: it holds an emoji's parts together. The control characters leave tab and line feed out.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f\u00ad\u180e\u200b\u200e\u200f\u2060\ufeff]")
# One step may bring about what an earlier one mends; each round that does shortens the text.
_MAX_ROUNDS: Final = 100
# U+3164, the Hangul filler, is a letter to Unicode and a blank to the reader.
_BLANKS = re.compile("(?:[^\\S\n\r]|\u3164)+")


def _trim_spaces(text: str) -> str:
    text = _BLANKS.sub(" ", _INVISIBLE.sub("", text))
    lines = (line.strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


CLEANING_STEPS: Final[dict[str, CleaningStep]] = {
    "line_ends": partial(_LINE_END.sub, "\n"),
    "literal_newlines": partial(_LITERAL_NEWLINE.sub, "\n"),
    "br_tags": partial(_BR_TAG.sub, "\n"),
    "spaces": _trim_spaces,
    "nfc": partial(unicodedata.normalize, "NFC"),
}
"""What each step does to a text, by the name the config uses.

`line_ends`: CRLF, CR and Unicode's line separators become a line feed. `literal_newlines`: a backslash followed by n
becomes one. `br_tags`: `<br>`, `<br/>`, `<BR >` become one. `spaces`: no-break, ideographic and repeated spaces become
one space, invisible characters go, lines are trimmed, blank lines dropped. `nfc`: Hangul written as jamo is composed.
"""

DEFAULT_CLEANING: Final[tuple[str, ...]] = tuple(CLEANING_STEPS)
"""All steps. `nfc` runs last because dropping an invisible character may bring two jamo together."""


def make_cleaner(steps: Sequence[str]) -> CleaningStep:
    r"""One function that runs the named steps out of `CLEANING_STEPS` in the given order.

    In the order of `CLEANING_STEPS` they run until they change nothing, so that cleaning a cleaned text leaves it as it
    is: an invisible character inside `\n` or `<br>` goes in one round, what it hid in the next. In another order, or
    with a step of one's own among them, they run once.

    Example:
        >>> make_cleaner(DEFAULT_CLEANING)("#Person1#:  안녕!<br>#Person2#: 네.\\n")
        '#Person1#: 안녕!\n#Person2#: 네.'
    """
    functions = [find_step(step) for step in steps]
    # Another order is meant as it is written, and a step of one's own may add something each time.
    max_rounds = _MAX_ROUNDS if list(steps) == [step for step in CLEANING_STEPS if step in steps] else 1

    def clean(text: str) -> str:
        for _ in range(max_rounds):
            before = text
            for function in functions:
                text = function(text)
            if text == before:
                break
        return text

    return clean


def find_step(name: str) -> CleaningStep:
    """A step by its name; a `ValueError` lists the known ones."""
    step: CleaningStep = find_extension("cleaning_steps", name, shipped=CLEANING_STEPS, argument="data.cleaning")
    return step
