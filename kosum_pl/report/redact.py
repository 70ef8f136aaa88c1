"""Personal numbers and addresses in a report's texts → tags, for a page that leaves the house.

In: text, or a run with all that its files hold. Out: the same with each phone number, resident number, card number and
e-mail address as the tag that data sets use for it. Patterns find what has the shape of such a number; they know no
names, postal addresses or numbers in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, Final

from kosum_pl.report.scored import ScoredRun

# One character each, so that a place in the folded text is the same place in the text.
_FOLDED: Final = str.maketrans(
    {chr(0xFF01 + offset): chr(0x21 + offset) for offset in range(94)} | dict.fromkeys("‐‑‒–—―−﹣ㅡ", "-") | {"　": " "}
)
_DAY: Final = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_GAP: Final = r"[-. ]{0,3}"
_TAGS: Final = {
    "Email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+",
    "CardNumber": rf"(?<!\d)(?:\d{{4}}(?:{_GAP}\d{{4}}){{3}}|3[47]\d{{2}}{_GAP}\d{{6}}{_GAP}\d{{5}})(?!\d)",
    "SSN": rf"(?<!\d){_DAY}{_GAP}[0-9](?:\d{{6}}(?!\d)|[*xX●]{{6}})",
    "PhoneNumber": (
        rf"(?<!\d)(?:(?:\+|00)82{_GAP}\(?0?\)?{_GAP}|\(?0)(?:2|1[016789]|[3-6]\d|70|80|50\d?)\)?{_GAP}\d{{3,4}}{_GAP}\d{{4}}"
        rf"(?!\d)|(?<!\d)1[568]\d{{2}}[-. ]{{1,3}}\d{{4}}(?!\d)"
    ),
}
_PATTERN: Final = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in _TAGS.items()))


def redact(text: str) -> str:
    """A text with tags in place of what has the shape of a personal number or an e-mail address.

    Example:
        >>> redact("010-1234-5678이나 kim@example.com으로 연락 주세요. 900101-1234567")
        '#PhoneNumber#이나 #Email#으로 연락 주세요. #SSN#'
        >>> redact("1234 5678 1234 5678, ０１０．１２３４．５６７８, 2026-11-29 15시 119,600원")
        '#CardNumber#, #PhoneNumber#, 2026-11-29 15시 119,600원'
    """
    pieces, end = [], 0
    for found in _PATTERN.finditer(text.translate(_FOLDED)):
        pieces += [text[end : found.start()], f"#{found.lastgroup}#"]
        end = found.end()
    return "".join([*pieces, text[end:]]) if pieces else text


def redact_all(value: Any) -> Any:
    """Plain values, mappings with their keys, sequences and dataclasses, with every text in them redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {redact_all(key): redact_all(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(redact_all, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: redact_all(getattr(value, each.name)) for each in fields(value)})
    return value


def redacted(scored: ScoredRun) -> ScoredRun:
    """A scored run whose texts are redacted; scores stay those of the texts as they were."""
    texts = {name: redact_all(getattr(scored, name)) for name in ("scores", "intervals", "values", "notes")}
    return replace(scored, run=scored.run.mapped(redact_all), **texts)
