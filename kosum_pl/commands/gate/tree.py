"""What a gate's rule is once it is read: a tree of plain values, and its text.

In: nothing. Out: `Comparison` and the expressions in it, the scores they name, and text that is read as the same tree.
Only the standard library is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

COMPARISONS: Final = (">=", "<=", "==", "!=", ">", "<")
FUNCTIONS: Final = ("min", "max")
BASELINE: Final = "baseline"
SLICE: Final = "slice"
EVERY: Final = "*"
BARE_NAME: Final = r"[^\W\d](?:[\w.]|/(?=[^\W\d])|=(?=\w))*"
"""What may stand as a name without quotes."""

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
class Negation:
    """An expression with its sign turned."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Operation:
    """`left symbol right`, where the symbol is one of `+ - * /`."""

    symbol: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Call:
    """`min(…)` or `max(…)` of at least one expression."""

    function: str
    operands: tuple[Expression, ...]


Expression: TypeAlias = Number | Score | Baseline | Negation | Operation | Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a rule demands.

    Attributes:
        left: Left of the comparison.
        symbol: One of `COMPARISONS`.
        right: Right of it.
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
    """Whether an expression says `baseline`."""
    return any(isinstance(leaf, Baseline) for leaf in _leaves(expression))


def render(expression: Expression, shown: Callable[[Expression], str] | None = None, *, above: int = 0) -> str:
    """Text of an expression, with the fewest brackets.

    Args:
        expression: What to write.
        shown: Text of a number, a score or `baseline`; None writes them as rules do.
        above: Precedence of what it stands in; 0 for nothing.

    Returns:
        Text that is read as the same expression, unless `shown` puts something else into it.

    Example:
        >>> from kosum_pl.commands.gate.grammar import parse_rule
        >>> render(parse_rule('(val/a - (1 - "b c")) * 2.50 > 0').left)
        '(val/a - (1 - "b c")) * 2.5'
    """
    write = shown or _leaf_text
    match expression:
        case Negation(operand):
            return f"-{render(operand, write, above=_PRODUCT + 1)}"
        case Call(function, operands):
            return f"{function}({', '.join(render(operand, write) for operand in operands)})"
        case Operation(symbol, left, right):
            own = _PRECEDENCE[symbol]
            text = f"{render(left, write, above=own)} {symbol} {render(right, write, above=own + 1)}"
            return f"({text})" if own < above else text
        case leaf:
            return write(leaf)


def render_rule(rule: Comparison) -> str:
    """Text of a whole rule, that is read as the same rule.

    Example:
        >>> from kosum_pl.commands.gate.grammar import parse_rule
        >>> render_rule(parse_rule("slice weekday=* val/rouge_sum>=baseline-1.5"))
        'slice weekday=* val/rouge_sum >= baseline - 1.5'
    """
    text = f"{render(rule.left)} {rule.symbol} {render(rule.right)}"
    if rule.column is None:
        return text
    value = EVERY if rule.value is None else _word(rule.value)
    return f"slice {_word(rule.column)}={value} {text}"


def _leaves(expression: Expression) -> Iterator[Number | Score | Baseline]:
    match expression:
        case Negation(operand):
            yield from _leaves(operand)
        case Operation(_, left, right):
            yield from _leaves(left)
            yield from _leaves(right)
        case Call(_, operands):
            for operand in operands:
                yield from _leaves(operand)
        case leaf:
            yield leaf


def _leaf_text(leaf: Expression) -> str:
    match leaf:
        case Number(value):
            return repr(value).removesuffix(".0")
        case Score(name):
            return name if re.fullmatch(BARE_NAME, name) and name != BASELINE else _quoted(name)
    return BASELINE


def _word(text: str) -> str:
    return text if re.fullmatch(r"[\w.]+", text) else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
