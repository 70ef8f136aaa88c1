"""One situation and a weekday become one dialogue with its references.

In: a `Situation`, a weekday, a random generator. Out: a `DemoRow` whose text is final: choices made, slots filled,
particles agreed, speakers numbered in the order in which they speak.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from kosum_pl.demo.particles import attach
from kosum_pl.demo.situations import CHOICE, PLACEHOLDER, Situation, TurnTemplate
from kosum_pl.demo.values import sample_slots

SATURDAY: Final = 7
MAX_REFERENCES: Final = 3
_OPTIONAL_SHARE: Final = 0.4
_USUAL_PHRASING: Final = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRow:
    """A dialogue of the demo before it has an id.

    Attributes:
        dialogue: Turns, one a line, each `#PersonN#: ` and words.
        summaries: One to three references in different phrasings.
        weekday: 1 (Sunday) to 7 (Saturday).
        slots: Names, times, amounts and dates that stand in both the dialogue and the first reference.
    """

    dialogue: str
    summaries: tuple[str, ...]
    topic: str
    weekday: int
    slots: tuple[str, ...]


def render(template: str, values: Mapping[str, str], rng: Random) -> str:
    """A template as text, its choices `[a|b]` made and its placeholders `{slot}` and `{slot:particle}` filled.

    Example:
        >>> render("{name:이} {city:으로} [간다|간다].", {"name": "민지", "city": "부산"}, Random(0))
        '민지가 부산으로 간다.'
    """
    chosen = CHOICE.sub(lambda found: rng.choice(found.group(1).split("|")), template)

    def fill(found: re.Match[str]) -> str:
        name, particle = found.groups()
        return attach(values[name], particle) if particle else values[name]

    return PLACEHOLDER.sub(fill, chosen)


def _choose_turns(situation: Situation, weekday: int, rng: Random) -> list[TurnTemplate]:
    """Turns that stand: on Saturdays all, on other days some of the optional exchanges."""
    is_kept = {turn.block: rng.random() < _OPTIONAL_SHARE for turn in situation.turns}
    if weekday == SATURDAY:
        return situation.turns
    return [turn for turn in situation.turns if not turn.mark or (turn.mark == "?" and is_kept[turn.block])]


def _number_speakers(turns: Sequence[TurnTemplate]) -> dict[str, str]:
    roles = list(dict.fromkeys(turn.role for turn in turns))
    return {role: f"#Person{number}#" for number, role in enumerate(roles, start=1)}


def _write_dialogue(turns: Sequence[TurnTemplate], values: Mapping[str, str], rng: Random) -> str:
    """Lines of the dialogue; neighbouring turns of one speaker become one line."""
    lines: list[list[str]] = []
    last_role = ""
    for turn in turns:
        words = render(turn.text, values, rng)
        if turn.role == last_role:
            lines[-1].append(words)
        else:
            lines.append([f"{values[turn.role]}:", words])
        last_role = turn.role
    return "\n".join(" ".join(line) for line in lines)


def _choose_phrasings(references: Sequence[str], rng: Random) -> list[str]:
    """One to three templates, the usual phrasing mostly first."""
    first = 0 if rng.random() < _USUAL_PHRASING else rng.randrange(1, len(references))
    others = [number for number in range(len(references)) if number != first]
    rng.shuffle(others)
    return [references[number] for number in (first, *others)][: rng.randint(1, MAX_REFERENCES)]


def compose(situation: Situation, *, weekday: int, rng: Random) -> DemoRow:
    """One dialogue of a situation; those of Saturdays are longer and are summarized in another style."""
    values = sample_slots([(slot.names, slot.kind) for slot in situation.slots if slot.kind], rng)
    for slot in situation.slots:
        if not slot.kind:
            values.update(zip(slot.names, rng.choice(slot.choices), strict=True))
    turns = _choose_turns(situation, weekday, rng)
    speaking = {**values, **_number_speakers(turns)}
    dialogue = _write_dialogue(turns, speaking, rng)
    templates = situation.saturday_references if weekday == SATURDAY else situation.references
    summaries = tuple(render(template, speaking, rng) for template in _choose_phrasings(templates, rng))
    copied = [values[name] for slot in situation.slots if slot.is_copied for name in slot.names]
    slots = tuple(value for value in dict.fromkeys(copied) if value in dialogue and value in summaries[0])
    return DemoRow(dialogue=dialogue, summaries=summaries, topic=situation.topic, weekday=weekday, slots=slots)
