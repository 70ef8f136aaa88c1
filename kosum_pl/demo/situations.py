"""Everyday situations: what is said in them and how it is summarized.

In: the text files of `situations/`. Out: `Situation` values, checked, from which dialogues are composed.

One situation is a paragraph:

    == topic
    $ name=full; day=day; item=우산/지갑; num*=두 권/세 권; low+high=bargain     slots: a kind of values.py or choices
    A: [안녕하세요. |]{name:이라고} 합니다.                                   a turn; [a|b] is a choice, {slot:particle}
    ? B: …                                                                 an exchange that may be left out
    + B: …                                                                 an exchange of Saturdays only
    = {A:이} {name}에게 …                                                   a reference of the other days
    =+ …                                                                   a reference of Saturdays

A star marks choices that a right summary copies; values of a kind always are. Neighbouring `?` or `+` lines belong
together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kosum_pl.demo.values import SAMPLERS

FOLDER: Final = Path(__file__).resolve().parent / "situations"
PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::([^}]+))?\}")
CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")
_TURN: Final = re.compile(r"(?:([?+]) )?([A-D]): (\S.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Something that differs from dialogue to dialogue.

    Attributes:
        names: Placeholders that are filled together.
        kind: A kind of `values.SAMPLERS`, or empty.
        choices: Values to choose from where there is no kind, each as long as `names`.
        is_copied: Whether a right summary carries the value over from the dialogue.
    """

    names: tuple[str, ...]
    kind: str = ""
    choices: tuple[tuple[str, ...], ...] = ()
    is_copied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnTemplate:
    """What one speaker says at one point.

    Attributes:
        role: A to D; the tag `#PersonN#` follows from the order of speaking.
        text: The words, with choices and placeholders.
        mark: Empty for a turn that always stands, `?` for an optional one, `+` for Saturdays only.
        block: Number of the run of neighbouring turns with this mark.
    """

    role: str
    text: str
    mark: str
    block: int


@dataclass(slots=True, kw_only=True)
class Situation:
    """One topic with its turns and references."""

    topic: str
    slots: list[Slot] = field(default_factory=list)
    turns: list[TurnTemplate] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    saturday_references: list[str] = field(default_factory=list)


def _parse_slot(text: str) -> Slot:
    left, _, right = text.partition("=")
    names = tuple(left.rstrip("*").split("+"))
    if right in SAMPLERS:
        return Slot(names=names, kind=right, is_copied=True)
    choices = tuple((value,) if len(names) == 1 else tuple(value.split("+")) for value in right.split("/"))
    if len(choices) < 2 or any(len(choice) != len(names) for choice in choices):
        raise ValueError(f"slot '{text}' is neither a known kind nor several choices of {len(names)} value(s)")
    return Slot(names=names, choices=choices, is_copied=left.endswith("*"))


def _add_turn(situation: Situation, line: str) -> None:
    found = _TURN.fullmatch(line)
    if found is None:
        raise ValueError("is none of: '== topic', '$ slots', 'A: turn', '? A: turn', '+ A: turn', '= reference'")
    mark, role, text = found.group(1) or "", found.group(2), found.group(3)
    last = situation.turns[-1] if situation.turns else None
    block = 0 if last is None else last.block + (last.mark != mark)
    situation.turns.append(TurnTemplate(role=role, text=text, mark=mark, block=block))


def parse_situations(text: str, *, source: str) -> list[Situation]:
    r"""Situations of a file's text, in the format of this module; `source` is its name for messages.

    Raises:
        ValueError: A line cannot be read; the message names file and line.

    Example:
        >>> situations = parse_situations("== 인사\nA: 안녕!\nB: 응!\n= {A:과} {B:이} 인사한다.\n", source="x.txt")
        >>> situations[0].topic, len(situations[0].turns)
        ('인사', 2)
    """
    situations: list[Situation] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            if line.startswith("== "):
                situations.append(Situation(topic=line.removeprefix("== ")))
            elif line.startswith("$ "):
                situations[-1].slots.extend(_parse_slot(part.strip()) for part in line[2:].split(";"))
            elif line.startswith("=+ "):
                situations[-1].saturday_references.append(line.removeprefix("=+ "))
            elif line.startswith("= "):
                situations[-1].references.append(line.removeprefix("= "))
            elif line.strip():
                _add_turn(situations[-1], line)
        except (ValueError, IndexError) as error:
            raise ValueError(f"{source}:{number}: {error}; correct the line '{line}'") from error
    return situations


def placeholders(text: str) -> set[str]:
    """Names of the roles and slots that a template mentions.

    Example:
        >>> sorted(placeholders("{A:은} [{name}|#Person1#]"))
        ['A', 'name']
    """
    return {found.group(1) for found in PLACEHOLDER.finditer(text)}


def find_faults(situation: Situation) -> list[str]:
    """What would make a situation compose badly; empty where nothing does.

    A reference may only mention what surely stands in the dialogue, and every slot must be said.
    """
    faults: list[str] = []
    known = {name for slot in situation.slots for name in slot.names}
    used = {name for turn in situation.turns for name in placeholders(turn.text)}
    faults += [f"slot '{name}' is never said" for name in sorted(known - used)]
    faults += [f"'{name}' is said but is no slot" for name in sorted(used - known)]
    for marks, references in (("", situation.references), ("?+", situation.saturday_references)):
        turns = [turn for turn in situation.turns if not turn.mark or turn.mark in marks]
        sure = {turn.role for turn in turns}
        sure |= {name for turn in turns for name in placeholders(CHOICE.sub("", turn.text))}
        sure |= {name for turn in turns for name in _in_every_choice(turn.text)}
        for reference in references:
            faults += [f"'{name}' may be missing: {reference}" for name in sorted(placeholders(reference) - sure)]
        if len(references) < 2:
            faults.append("fewer than two references of a kind")
    return faults


def _in_every_choice(text: str) -> set[str]:
    """Placeholders that stand in all variants of some choice."""
    return {
        name
        for found in CHOICE.finditer(text)
        for name in set.intersection(*(placeholders(variant) for variant in found.group(1).split("|")))
    }


def load_situations() -> list[Situation]:
    """All situations of the demo, in the order of the files' names."""
    situations = []
    for path in sorted(FOLDER.glob("*.txt")):
        for situation in parse_situations(path.read_text(encoding="utf-8"), source=path.name):
            if faults := find_faults(situation):
                raise ValueError(f"{path.name}: situation '{situation.topic}': {'; '.join(faults)}")
            situations.append(situation)
    return situations
