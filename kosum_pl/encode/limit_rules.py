"""Limits as a config says them → numbers: given ones as they are, `auto` measured on train.

In: a number, `auto` or `{auto_up_to: 1536}` for each limit; lengths of train, and the model's positions. Out:
`TokenLimits`, and a line for each limit that was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeGuard

import numpy as np

from kosum_pl.encode.limits import TokenLimits
from kosum_pl.encode.table import EncodedTable
from kosum_pl.types import UNLIMITED

LimitArgument = int | str | dict[str, int]
"""A number, `auto`, or `{auto_up_to: NUMBER}`."""

_AUTO: Final = "auto"
_CEILING: Final = "auto_up_to"
_STEP: Final = 64
_HELD_PERMILLE: Final = 995


def holding_limit(lengths: np.ndarray[Any, Any]) -> int:
    """The smallest multiple of 64 that holds 99.5 % of the lengths, (N,).

    Example:
        >>> holding_limit(np.array([10] * 199 + [900])), holding_limit(np.array([10] * 198 + [65, 900]))
        (64, 128)
    """
    num_held = -(-_HELD_PERMILLE * len(lengths) // 1000)
    return -(-int(np.sort(lengths)[num_held - 1]) // _STEP) * _STEP


@dataclass(frozen=True, kw_only=True)
class LimitRule:
    """One limit: a number, or None for `auto`, which may have a ceiling.

    Attributes:
        name: In the config, under `data`.
    """

    name: str
    number: int | None
    ceiling: int | None = None

    @classmethod
    def parse(cls, name: str, value: object) -> LimitRule:
        """The rule that a config's value means.

        Raises:
            ValueError: It means none.

        Example:
            >>> LimitRule.parse("max_source_tokens", {"auto_up_to": 1536}).ceiling
            1536
        """
        if _is_number(value):
            return cls(name=name, number=value)
        if value == _AUTO:
            return cls(name=name, number=None)
        ceiling = value.get(_CEILING) if isinstance(value, Mapping) and len(value) == 1 else None
        if not _is_number(ceiling):
            shown = f"'{value}'" if isinstance(value, str) else value
            raise ValueError(f"data.{name} is {shown}; give a number, {_AUTO}, or {{{_CEILING}: NUMBER}}")
        return cls(name=name, number=None, ceiling=ceiling)

    @property
    def most(self) -> int | None:
        """The number, or the ceiling; None where nothing bounds it."""
        return self.number if self.number is not None else self.ceiling

    def measure(self, lengths: np.ndarray[Any, Any], *, num_positions: int | None) -> tuple[int, list[str]]:
        """The number for rows of these lengths, (N,), and a line where it was measured.

        `num_positions` are those that the model has for them; None where it has no such bound.

        Raises:
            ValueError: There are none.
        """
        if self.number is not None:
            return self.number, []
        if num_positions is not None and num_positions < 2:
            raise ValueError(
                f"data.{self.name} is {_AUTO}, and the other limit takes all of the model's positions; lower that"
            )
        wanted = holding_limit(lengths)
        bounds = {self.ceiling: ", its ceiling,", num_positions: ", all that the model's positions leave,"}
        number = min([wanted, *(bound for bound in bounds if bound is not None)])
        held = 1000 * int((lengths <= number).sum()) // len(lengths) / 10  # rounded down
        bounded = bounds[number] if number < wanted else ""
        holds = f"{number:,}{bounded} holds {held:g} % of {len(lengths):,} train rows (longest {lengths.max():,})"
        return number, [f"{self.name} {_AUTO}: {holds}"]


@dataclass(frozen=True, kw_only=True)
class LimitRules:
    """The limits of a config; see `TokenLimits`.

    Raises:
        ValueError: A number leaves no room, or a choice is unknown.
    """

    source: LimitRule
    summary: LimitRule
    truncation: Literal["oldest", "middle"] = "oldest"
    supervised_turns: Literal["last", "all"] = "last"

    def __post_init__(self) -> None:
        self._with(*(UNLIMITED if rule.most is None else rule.most for rule in (self.source, self.summary)))

    @classmethod
    def parse(
        cls,
        *,
        max_source_tokens: object,
        max_summary_tokens: object,
        truncation: Literal["oldest", "middle"] = "oldest",
        supervised_turns: Literal["last", "all"] = "last",
    ) -> LimitRules:
        """The rules that a config's values mean."""
        return cls(
            source=LimitRule.parse("max_source_tokens", max_source_tokens),
            summary=LimitRule.parse("max_summary_tokens", max_summary_tokens),
            truncation=truncation,
            supervised_turns=supervised_turns,
        )

    @property
    def unknown(self) -> list[str]:
        """Names of the limits that are to be measured."""
        return [rule.name for rule in (self.source, self.summary) if rule.number is None]

    @property
    def unknown_names(self) -> str:
        """The same for a message."""
        return " and ".join(f"data.{name}" for name in self.unknown)

    @property
    def largest(self) -> TokenLimits | None:
        """The numbers, and ceilings in place of what is measured; None where there is no ceiling."""
        source, summary = self.source.most, self.summary.most
        return None if source is None or summary is None else self._with(source, summary)

    @property
    def unlimited(self) -> TokenLimits:
        """Limits that no row reaches: what it takes to measure."""
        return self._with(UNLIMITED, UNLIMITED)

    def measure(
        self, train: EncodedTable, *, is_causal: bool, max_positions: int | None
    ) -> tuple[TokenLimits, list[str]]:
        """Numbers for train's rows as they are without limits, and a line for each that was measured.

        `max_positions` is None where the model has no such limit; those of a causal model are for prompt and summary
        together, where the summary is measured first.

        Raises:
            ValueError: The model's positions leave no room.
        """
        left = max_positions
        if left is not None and is_causal:
            left -= self.source.number if self.source.number is not None else left // 2
        summary, summary_lines = self.summary.measure(train.summary_lengths, num_positions=left)
        left = max_positions
        if left is not None and is_causal:
            left -= summary
        source, source_lines = self.source.measure(train.source_lengths, num_positions=left)
        return self._with(source, summary), source_lines + summary_lines

    def _with(self, source: int, summary: int) -> TokenLimits:
        return TokenLimits(
            max_source_tokens=source,
            max_summary_tokens=summary,
            truncation=self.truncation,
            supervised_turns=self.supervised_turns,
        )


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
