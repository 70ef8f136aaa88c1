"""How long an example may be, and what goes when it is longer.

In: a dialogue's text and a function from text to ids. Out: ids within the limit. The dialogue gives way, turn by turn,
never the instructions around it nor the summary; what is dropped depends on the dialogue alone, so that a row's
prompt is the same with and without its summary.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

_SPEAKER_TAG: Final = re.compile(r"\s*(?:#[^#\n]+#|[^\s:：][^:：\n]{0,19})\s*[:：]\s*")


@dataclass(frozen=True, kw_only=True)
class TokenLimits:
    """Limits of one example, in tokens.

    Attributes:
        max_source_tokens: Causal: the whole prompt. Seq2Seq: the whole source, special tokens included.
        max_summary_tokens: The summary with its terminator; one that is cut may be text to its last token.
        truncation: Which turns of a long dialogue go first: the oldest, or those in the middle.
        supervised_turns: Of a row in chat format: its last assistant turn is learnt, or all of them.

    Raises:
        ValueError: A limit that leaves no room, or an unknown choice.

    Example:
        >>> TokenLimits(max_source_tokens=1024, max_summary_tokens=128).truncation
        'oldest'
    """

    max_source_tokens: int
    max_summary_tokens: int
    truncation: Literal["oldest", "middle"] = "oldest"
    supervised_turns: Literal["last", "all"] = "last"

    def __post_init__(self) -> None:
        if self.max_source_tokens < 1:
            raise ValueError(f"data.max_source_tokens is {self.max_source_tokens}; give a positive number")
        if self.max_summary_tokens < 2:
            raise ValueError(
                f"data.max_summary_tokens is {self.max_summary_tokens}; give at least 2, a token and the terminator"
            )
        if self.truncation not in ("oldest", "middle"):
            raise ValueError(f"data.truncation is '{self.truncation}'; known: oldest, middle")
        if self.supervised_turns not in ("last", "all"):
            raise ValueError(f"data.supervised_turns is '{self.supervised_turns}'; known: last, all")


def fit_dialogue(
    text: str, *, to_ids: Callable[[str], list[int]], limits: TokenLimits, example_id: str
) -> tuple[list[int], int]:
    """Ids (T,) of a dialogue within its instructions, and how many tokens were dropped: whole turns, as few as need be.

    The dialogue has one turn a line; `to_ids` gives the ids of the whole prompt around a dialogue.
    """
    if not text:
        raise ValueError(f"example '{example_id}': the dialogue is empty; remove the row (data.on_bad_rows=drop)")
    whole = to_ids(text)
    if len(whole) <= limits.max_source_tokens:
        return whole, 0
    turns = [turn for turn in text.split("\n") if turn.strip()]

    def fits(candidate: str) -> bool:
        return len(to_ids(candidate)) <= limits.max_source_tokens

    num_kept = _largest(len(turns), lambda count: fits(_keep(turns, count, limits.truncation)))
    if num_kept > 0:
        kept = to_ids(_keep(turns, num_kept, limits.truncation))
    else:
        kept = to_ids(_cut_turn(_keep(turns, 1, limits.truncation), fits))
    if len(kept) > limits.max_source_tokens:
        raise ValueError(
            f"example '{example_id}': the instructions take {len(to_ids(''))} of "
            f"data.max_source_tokens={limits.max_source_tokens} tokens and leave no room for the dialogue; "
            "raise data.max_source_tokens or shorten model.prompt"
        )
    return kept, len(whole) - len(kept)


def _keep(turns: list[str], count: int, truncation: str) -> str:
    """The dialogue's `count` turns that go last.

    Example:
        >>> _keep(["a", "b", "c", "d", "e"], 3, "oldest").split()
        ['c', 'd', 'e']
        >>> _keep(["a", "b", "c", "d", "e"], 3, "middle").split()
        ['a', 'b', 'e']
    """
    if truncation == "oldest":
        return "\n".join(turns[len(turns) - count :])
    if count == 1:  # of the two ends the one that says more
        return max(turns[0], turns[-1], key=len)
    num_last = count // 2
    return "\n".join(turns[: count - num_last] + turns[len(turns) - num_last :])


def _cut_turn(turn: str, fits: Callable[[str], bool]) -> str:
    """A turn's speaker tag and as much of its beginning as fits, at least one character."""
    tag = _SPEAKER_TAG.match(turn)
    start = tag.end() if tag and tag.end() < len(turn) else 0
    # Whole characters, not tokens: a byte-level token may end in the middle of a syllable.
    num_kept = _largest(len(turn) - start, lambda count: fits(turn[: start + count]))
    return turn[: start + max(num_kept, 1)]


def _largest(upper: int, is_possible: Callable[[int], bool]) -> int:
    """The largest count in 1..upper that is possible, 0 if none is; what is possible stays so for a smaller count."""
    return bisect_left(range(1, upper + 1), True, key=lambda count: not is_possible(count))
