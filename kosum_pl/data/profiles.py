"""What rows are like: values of their profile columns, and what can be counted in a dialogue.

In: dialogues. Out: profile values as presets and slices compare them, words, and numbers of turns and speakers, by
which splits are compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from kosum_pl.types import TAG_PATTERN, Dialogue, profile_text

_WORD: Final = re.compile(r"\w+")
# `#Person1#:` with or without a space behind; any other short label only with one, for a line may start with "10:30".
_SPEAKER: Final = re.compile(rf"\s*(?:({TAG_PATTERN.pattern})\s*[:：]|([^:：\s][^:：]{{0,19}})[:：]\s)")


def profile_columns(dialogues: Iterable[Dialogue]) -> tuple[str, ...]:
    """Profile columns that any row has a value in, in the order they are met.

    Example:
        >>> profile_columns([Dialogue(example_id="a", text="네", profile={"topic": "", "weekday": "7"})])
        ('weekday',)
    """
    return tuple(
        dict.fromkeys(name for dialogue in dialogues for name, value in dialogue.profile.items() if profile_text(value))
    )


def profile_values(dialogues: Iterable[Dialogue], *, column: str) -> list[str]:
    """Canonical values of one profile column, one a row; empty text where a row has none."""
    return [profile_text(dialogue.profile.get(column, "")) for dialogue in dialogues]


def words(text: str) -> list[str]:
    """Words in small letters, without tags and punctuation.

    Example:
        >>> words("#Person1#: KTX 타자!")
        ['ktx', '타자']
    """
    return _WORD.findall(TAG_PATTERN.sub(" ", text).lower())


def count_turns(text: str) -> int:
    r"""Turns of a dialogue: its lines that are not empty.

    Example:
        >>> count_turns("#Person1#: 안녕!\n\n#Person2#: 응.")
        2
    """
    return sum(bool(line.strip()) for line in text.splitlines())


def count_speakers(text: str) -> int:
    r"""Different labels that stand before a colon at the start of a line; 0 where no line has one.

    Example:
        >>> count_speakers("#Person1#: 안녕!\n#Person2#:응.\n#Person1#: 가자."), count_speakers("10:30에 봐")
        (2, 0)
    """
    labels = set()
    for line in text.splitlines():
        match = _SPEAKER.match(line)
        if match:
            labels.add((match.group(1) or match.group(2)).strip())
    return len(labels)
