"""The lead-1 baseline: a summary that is only the dialogue's first turn.

In: a dialogue's text. Out: the words of its first turn. What a trained model must beat to have learnt anything.
"""

from __future__ import annotations

import re
from typing import Final

# A tag, or a name of up to 20 characters before a colon and white space; the colon of `3:30` stays.
_SPEAKER: Final = re.compile(r"\s*(?:#[^#\s]+#\s*[:\uff1a]|[^\W\d][^:\uff1a]{0,19}(?::(?=\s|$)|\uff1a))\s*")


def lead_summary(dialogue_text: str) -> str:
    r"""Words of the first turn that says something, without its speaker.

    Raises:
        ValueError: Nobody says anything.

    Example:
        >>> lead_summary("#Person1#: 안녕하세요, 오늘 기분이 어떠세요?\n#Person2#: 좋아요.")
        '안녕하세요, 오늘 기분이 어떠세요?'
    """
    for line in dialogue_text.splitlines():
        speaker = _SPEAKER.match(line)
        words = line[speaker.end() :] if speaker else line
        if words.strip():
            return words.strip()
    raise ValueError("the dialogue has no words, so it has no first turn; drop the row")
