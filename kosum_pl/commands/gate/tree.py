"""What a gate's rule is once it is read: a tree of plain values.

In: nothing. Out: `Comparison` and the expressions in it, the scores they name, and their text with other leaves put in.
Only the standard library is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

COMPARISONS: Final = (">=", "<=", "==", "!=", ">", "<")
FUNCTIONS: Final = ("min", "max")

_PRODUCT: Final = 2
_PRECEDENCE: Final = {"+": 1, "-": 1, "*": _PRODUCT, "/": _PRODUCT}


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number, zero or above."""

    value: float


@dataclass(frozen=True, slots=True)
class Score:
    """A score of the run, by its full name."""

    name: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """The rule's one score, as the baseline has it."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One of `+ - * /` over two operands, `-` over one, or one of `FUNCTIONS` over at least one."""

    symbol: str
    operands: tuple[Expression, ...]


Leaf: TypeAlias = Number | Score | Baseline
Expression: TypeAlias = Leaf | Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a rule demands.

    Attributes:
        symbol: One of `COMPARISONS`.
        column: Column of the data whose slice every score is of; None for all rows.
        value: That slice's value; None for each slice of the column.
    """

    left: Expression
    symbol: str
    right: Expression
    column: str | None = None
    value: str | None = None


def scores_in(expression: Expression) -> list[str]:
    """Names of an expression's scores, each once, from left to right.

    Example:
        >>> from kosum_pl.commands.gate.grammar import parse_rule
        >>> scores_in(parse_rule("min(val/a, val/b) - val/a > 0").left)
        ['val/a', 'val/b']
    """
    return list(dict.fromkeys(leaf.name for leaf in _leaves(expression) if isinstance(leaf, Score)))


def has_baseline(expression: Expression) -> bool:
    """Whether an expression names `baseline`."""
    return any(isinstance(leaf, Baseline) for leaf in _leaves(expression))


def render(expression: Expression, shown: Callable[[Leaf], str], *, outer: int = 0) -> str:
    """Text of an expression, with the fewest brackets.

    `shown` gives the text of a number, a score or `baseline`; `outer` is the precedence around it, 0 for none.

    Example:
        >>> from kosum_pl.commands.gate.grammar import parse_rule
        >>> render(parse_rule("((a) - (1 - b)) * -2 > 0").left, lambda leaf: "x")
        '(x - (x - x)) * -x'
    """
    if not isinstance(expression, Operation):
        return shown(expression)
    symbol, operands = expression.symbol, expression.operands
    if symbol in FUNCTIONS:
        return f"{symbol}({', '.join(render(operand, shown) for operand in operands)})"
    if len(operands) == 1:
        return f"-{render(operands[0], shown, outer=_PRODUCT + 1)}"
    own = _PRECEDENCE[symbol]
    left, right = (render(operand, shown, outer=own + index) for index, operand in enumerate(operands))
    return f"({left} {symbol} {right})" if own < outer else f"{left} {symbol} {right}"


def _leaves(expression: Expression) -> Iterator[Leaf]:
    if isinstance(expression, Operation):
        for operand in expression.operands:
            yield from _leaves(operand)
    else:
        yield expression
