"""`Reachability`: how many references can be generated, and what forbids the others.

In: counts and ids of rows. Out: a frozen value that is printed as one line, stored as JSON and read back. What the
rules of the presets forbid is one number; what the charset forbids or the tokenizer cannot write stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

WARNING_SHARE: Final = 0.95
"""Below this share of references that can be said, somebody should look at the presets."""
BROKEN_SHARE: Final = 0.8
"""Below this share a run is not worth its start."""

REASONS: Final[Mapping[str, str]] = {
    "no_repeat_ngram_size": "repeat a phrase",
    "max_new_tokens": "longer than max_new_tokens",
    "min_new_tokens": "shorter than min_new_tokens",
    "bad_words": "with bad words",
}
"""Field of a preset to what is said of the references that it forbids."""
_NUM_SHOWN: Final = 3


@dataclass(frozen=True, kw_only=True)
class Reachability:
    """References of one split, held against the presets that serve their rows.

    Attributes:
        num_rows: References that were looked at: the first of a row, which is the one that is learnt.
        num_all: Rows of the split.
        presets: Names of the presets that serve them.
        forbidden: Field of a preset to the ids of the rows whose reference it forbids; a row may stand under several.
        unreachable: Ids of all these rows, in order.
        charset: Ids of further rows, whose reference the constraint forbids.
        unwritable: Ids of further rows, whose reference holds pieces that the tokenizer does not know.
        num_rewritten: References that the tokenizer writes otherwise (`...` for `…`), which forbids nothing.
        remedy: The one change of a preset with which most references can be said; empty where none helps, or where
            `WARNING_SHARE` of them can be said anyway.
        remedy_share: Share that can be said with it.
    """

    num_rows: int
    num_all: int
    presets: Sequence[str] = ()
    forbidden: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unreachable: Sequence[str] = ()
    charset: Sequence[str] = ()
    unwritable: Sequence[str] = ()
    num_rewritten: int = 0
    remedy: str = ""
    remedy_share: float = 1.0

    @property
    def share(self) -> float:
        """Of the references, those that no rule of a preset forbids, 0-1; what has no references is all reachable."""
        return 1 - len(self.unreachable) / self.num_rows if self.num_rows else 1.0

    def values(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        return {**asdict(self), "share": self.share}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Reachability:
        """From `values`, which JSON has kept."""
        return cls(**{name: value for name, value in values.items() if name != "share"})

    def line(self, split: str) -> str:
        """One line for the screen.

        Example:
            >>> found = dict(unreachable=["a", "b"], forbidden={"no_repeat_ngram_size": ["a", "b"]}, charset=["c"])
            >>> Reachability(num_rows=500, num_all=500, **found).line("val")
            'val: 99.6 % of 500 references can be said (2 repeat a phrase: a, b); the charset forbids 1 more (c)'
        """
        reasons = [f"{_counted(ids)} {words}{_shown(ids)}" for words, ids in self._reasons()]
        parts = [f"{split}: {percent(self.share)} of {self._number()} can be said"]
        parts[0] += f" ({'; '.join(reasons)})" if reasons else ""
        if self.charset:
            parts.append(f"the charset forbids {_counted(self.charset)} more ({_first(self.charset)})")
        if self.unwritable:
            parts.append(f"the tokenizer cannot write {_counted(self.unwritable)} more ({_first(self.unwritable)})")
        if self.num_rewritten:
            parts.append(f"it writes {self.num_rewritten:,} otherwise" if self.unwritable else self._rewritten())
        return "; ".join(parts)

    def remedy_line(self) -> str:
        """The change that helps most and what it brings; empty where nothing has to be changed."""
        return f"{self.remedy}: then {percent(self.remedy_share)} can be said" if self.remedy else ""

    def _rewritten(self) -> str:
        return f"the tokenizer writes {self.num_rewritten:,} otherwise"

    def _number(self) -> str:
        sampled = f" (of {self.num_all:,} rows, spread evenly)" if self.num_rows < self.num_all else ""
        return f"{self.num_rows:,} references{sampled}"

    def _reasons(self) -> list[tuple[str, Sequence[str]]]:
        return [(words, self.forbidden[name]) for name, words in REASONS.items() if self.forbidden.get(name)]


def percent(share: float) -> str:
    """A share as people read it; what is not all is never shown as all.

    Example:
        >>> percent(0.996), percent(0.99999), percent(1.0)
        ('99.6 %', '99.9 %', '100 %')
    """
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"


def _counted(ids: Sequence[str]) -> str:
    return f"{len(ids):,}"


def _shown(ids: Sequence[str]) -> str:
    return f": {_first(ids)}"


def _first(ids: Sequence[str]) -> str:
    return ", ".join([*ids[:_NUM_SHOWN], *["…"] * (len(ids) > _NUM_SHOWN)])
