"""`Postprocessor`: what the model wrote → what the user gets, by named steps.

In: a raw text, its dialogue and whether the model ended it. Out: the final text, and which steps changed it. Models
without a constraint need mending; under an exact one the script filter changes nothing, and the counts of changed rows
show it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.literals import DEFAULT_LITERALS, AllowedText, allowed_text
from kosum_pl.decode.postprocess.last_sentence import complete_sentence
from kosum_pl.decode.postprocess.script_filter import filter_scripts
from kosum_pl.decode.postprocess.tag_repair import repair_tags
from kosum_pl.extensions import find_extension

_KOREAN: Final = Charset()
# U+3164, the Hangul filler, is a letter to Unicode and a blank to the reader.
_BLANKS: Final = re.compile("(?:[^\\S\n]|\u3164)+")
# Only where the word ends there: the mark of `.5` or `.NET` begins one.
_SPACE_BEFORE_MARK: Final = re.compile(r" +(?=[.,?!](?:\s|$))")
# A sentence ends at a mark before white space. Behind Latin letters and digits (Mr., 3.) the mark may mean nothing.
_SENTENCE: Final = re.compile(r"(?P<words>[^\n]*?(?:(?<![A-Za-z0-9])[.?!](?=[^\S\n])|(?=\n|\Z)))(?P<gap>\s*)")
# One step may bring about what an earlier one mends. Two rounds settle nearly every text.
_MAX_ROUNDS: Final = 20


def _fix_encoding(text: str, row: AllowedText) -> str:
    # What is allowed is not broken: a dialogue's own spelling stays, and so does all constrained text.
    if not row.foreign_places(text):
        return text
    import ftfy

    # Mojibake, control characters and line ends; quotes, widths and entities are the writer's own.
    return str(
        ftfy.fix_text(
            text,
            unescape_html=False,
            uncurl_quotes=False,
            fix_character_width=False,
            fix_latin_ligatures=False,
            normalization=None,
        )
    )


def _trim_spaces(text: str, row: AllowedText) -> str:
    lines = (line.strip() for line in _BLANKS.sub(" ", text).split("\n"))
    return _SPACE_BEFORE_MARK.sub("", "\n".join(line for line in lines if line))


def _drop_repeated_sentences(text: str, row: AllowedText) -> str:
    kept: list[str] = []
    seen: set[str] = set()
    for found in _SENTENCE.finditer(text):
        words = found["words"].strip()
        if words and words in seen:
            continue
        seen.add(words)
        kept.append(found.group())
    shorter = "".join(kept)
    return shorter.rstrip() if len(shorter) < len(text) else text


# Functions of a name: ranks that are started from another process get the module pickled.
def _compose(text: str, row: AllowedText) -> str:
    return unicodedata.normalize("NFC", text)


def _repair_tags(text: str, row: AllowedText) -> str:
    return repair_tags(text, tags=row.tags, dialogue=row.dialogue)


POSTPROCESS_STEPS: Final[Mapping[str, Callable[[str, AllowedText], str]]] = MappingProxyType(
    {
        "ftfy": _fix_encoding,
        "nfc": _compose,
        "tag_repair": _repair_tags,
        "script_filter": filter_scripts,
        "whitespace": _trim_spaces,
        "repeated_sentences": _drop_repeated_sentences,
        "complete_sentence": complete_sentence,
    }
)
"""What each step does to a text, by the name the config uses.

`ftfy`: text that was decoded wrongly (ì•ˆë…• for 안녕) is decoded rightly, control characters go; a text in which all
is allowed stays. `nfc`: Hangul written as jamo is composed. `tag_repair`: `#Person1 #` becomes `#Person1#` where the
dialogue has that tag; before the filter, which would take the letters of a damaged one. `script_filter`: what nothing
allows goes. `whitespace`: one space for many, none before a closing mark, lines trimmed, blank lines dropped.
`repeated_sentences`: a sentence that an earlier one says word for word goes. `complete_sentence`: the last sentence of
a summary that was cut goes, where a whole one stands before it.
"""

DEFAULT_STEPS: Final[tuple[str, ...]] = tuple(step for step in POSTPROCESS_STEPS if step != "complete_sentence")
"""All steps that mend; dropping what a model said is the user's to choose."""


@dataclass(frozen=True, slots=True)
class Postprocessed:
    """A final text, and the names of the steps that changed it, in the order they are run."""

    text: str
    changed: tuple[str, ...]


def check_steps(steps: Sequence[str]) -> tuple[str, ...]:
    """Names of steps, each once.

    Raises:
        ValueError: A step has no such name; the message lists those that exist.
    """
    if isinstance(steps, str):
        known = ", ".join(POSTPROCESS_STEPS)
        raise ValueError(f"model.postprocess: '{steps}' is no list of steps; write [{steps}], out of: {known}")
    return tuple({step: _find_step(step) for step in steps})


def _find_step(name: str) -> Callable[[str, AllowedText], str]:
    step: Callable[[str, AllowedText], str] = find_extension(
        "postprocess_steps", name, shipped=POSTPROCESS_STEPS, argument="model.postprocess"
    )
    return step


class Postprocessor:
    """Runs named steps over a summary, round after round until none of them changes anything.

    So its own output is always left as it is.

    Args:
        steps: Names out of `POSTPROCESS_STEPS`, or of plug-ins, run in this order; an empty list leaves texts
            as they are.
        charset: Characters that are allowed in every row.
        literals: Allowed in every row.

    Raises:
        ValueError: As `check_steps`.

    Example:
        >>> postprocess = Postprocessor()
        >>> postprocess("#Person1 #은 明日 떠난다 . #Person1#은 떠난다.", dialogue="#Person1#: 내일 떠나요.")
        Postprocessed(text='#Person1#은 떠난다.', changed=('tag_repair', 'script_filter', 'whitespace',
        'repeated_sentences'))
    """

    def __init__(
        self,
        steps: Sequence[str] = DEFAULT_STEPS,
        *,
        charset: Charset = _KOREAN,
        literals: Sequence[str] = DEFAULT_LITERALS,
    ) -> None:
        self.steps = check_steps(steps)
        self._functions = {step: _find_step(step) for step in self.steps}
        self.charset = charset
        self.literals = tuple(literals)

    def __call__(self, text: str, *, dialogue: str, is_finished: bool = True) -> Postprocessed:
        """Run the steps over one text; its row's dialogue allows words and tags.

        `is_finished` says whether the model ended it by itself, which the text does not show.
        """
        if not self.steps:
            return Postprocessed(text, ())
        row = allowed_text(dialogue, charset=self.charset, literals=self.literals, is_finished=is_finished)
        changed: set[str] = set()
        for _ in range(_MAX_ROUNDS):
            before = text
            for step, function in self._functions.items():
                after = function(text, row)
                if after != text:
                    changed.add(step)
                text = after
            if text == before:
                break
        return Postprocessed(text, tuple(step for step in self.steps if step in changed))
