"""Frozen values that pass through the doors between rooms.

In: nothing. Out: `Dialogue` (what a file says), `EncodedExample` (what a model reads), `Prediction` (what came
back). A bare dict never crosses a room, so that a misspelt key is an error where it is written.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeGuard

IGNORE_INDEX: Final = -100
"""Label of a position where nothing is learnt (the value `torch.nn.functional.cross_entropy` skips)."""

TAG_PATTERN: Final = re.compile(r"#[A-Za-z]+\d*#")
"""A speaker or a masked value: `#Person1#`, `#PhoneNumber#`."""

UNLIMITED: Final = 1 << 30
"""A limit, in tokens, that nothing reaches."""

_WHOLE_NUMBER: Final = re.compile(r"\+?(-?\d+)(?:\.0+)?")
_NUMBER: Final = re.compile(r"[-+]?\d+(?:\.\d+)?")
_DIGITS: Final = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One turn of a chat-format row: `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """One row of the data: a dialogue and what is known of it.

    Attributes:
        example_id: The row's id, unique in its file (`fname` in the contest's format).
        text: The cleaned dialogue, one turn a line.
        references: Reference summaries; empty where the split has none.
        profile: Profile columns (`weekday`, `topic`, …), every value as text.
        slots: Strings that a right summary carries over from the dialogue (names, times, amounts).
        messages: The whole chat of a `messages` row, its last assistant turn included; empty otherwise.
    """

    example_id: str
    text: str
    references: tuple[str, ...] = ()
    profile: Mapping[str, str] = field(default_factory=dict)
    slots: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedExample:
    """One row as ids.

    Attributes:
        input_ids: Causal: prompt ids + completion ids, (T,). Seq2Seq: source ids, (S,).
        labels: Causal: as long as `input_ids`, `IGNORE_INDEX` where nothing is learnt. Seq2Seq: the target's ids.
            Empty where the row has no reference.
        prompt_length: The leading ids of `input_ids` that form the prompt of generation. Seq2Seq: all of them.
        truncated_tokens: Dialogue tokens that were dropped to keep the source limit.
        cut_tokens: Summary tokens that were cut at the summary's own limit, the terminator among them: only where this
            is 0 do the labels end with one.
    """

    example_id: str
    input_ids: Sequence[int]
    labels: Sequence[int]
    prompt_length: int
    truncated_tokens: int = 0
    cut_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The summary that a model gave of one dialogue, and how.

    Attributes:
        text: What the user gets (post-processed, perhaps generated again).
        raw_text: What the model generated.
        references: Reference summaries, perhaps none.
        log_prob: Sum of the log-probabilities of the generated tokens.
        num_tokens: Generated tokens, the terminator included.
        reached_eos: Whether the model stopped by itself.
        attempts: How often the row was generated.
        preset: Name of the decoding preset that served the row.
        changed_steps: Names of the post-processing steps that changed the raw text.
    """

    example_id: str
    text: str
    raw_text: str
    dialogue: str
    references: tuple[str, ...]
    profile: Mapping[str, str]
    log_prob: float
    num_tokens: int
    reached_eos: bool
    attempts: int
    preset: str
    slots: tuple[str, ...] = ()
    changed_steps: tuple[str, ...] = ()


def profile_text(value: object) -> str:
    """Canonical text of a profile value: NFC, single spaces, whole numbers without plus sign and decimals.

    A CSV file holds text, YAML numbers, a spreadsheet floats; rows, presets, slices and clusters must agree on what is
    equal.

    Example:
        >>> {profile_text(value) for value in (7, "7", 7.0, "7.0 ", "+7.0")}, profile_text(" 의사  상담")
        ({'7'}, '의사 상담')
    """
    text = " ".join(unicodedata.normalize("NFC", str(value)).split())
    whole = _WHOLE_NUMBER.fullmatch(text)
    return whole.group(1) if whole else text


def is_finite_number(value: object) -> TypeGuard[int | float]:
    """Whether a value out of somebody's file is a number to count with: no boolean, no NaN, none beyond a float.

    Example:
        >>> [is_finite_number(value) for value in (7, 0.5, True, float("nan"), 10**400, "7")]
        [True, True, False, False, False, False]
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of more than 308 digits, which JSON and YAML can spell
        return False


def natural_key(value: str) -> tuple[bool, float, list[str | int], str]:
    """Sort key: numbers by size, then texts with the digits in them by size.

    Example:
        >>> sorted(["topic10", "10", "topic2", "2"], key=natural_key)
        ['2', '10', 'topic2', 'topic10']
    """
    if _NUMBER.fullmatch(value):
        return False, float(value), [], value
    # Digits have odd indices, so that equal indices hold equal types.
    parts = [int(part) if i % 2 else part for i, part in enumerate(_DIGITS.split(value))]
    return True, 0.0, parts, value
