"""Whether a run keeps a rule, and what to say of it.

In: a rule, a run's scores and perhaps a baseline's. Out: a `Verdict`. What cannot be judged does not pass: a score that
is missing or no number, a quotient by zero, a baseline that was counted in another way. Pure; only the standard library
is imported.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kosum_pl.commands.gate.rules import GateRule
from kosum_pl.commands.gate.scores import Scores, Unjudged
from kosum_pl.commands.gate.tree import (
    Baseline,
    Call,
    Expression,
    Negation,
    Number,
    Operation,
    Score,
    render,
    scores_in,
)

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_OPPOSITE: Final = {">=": "<", ">": "<=", "<=": ">", "<": ">=", "==": "!=", "!=": "=="}
_COMPUTE: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_ROUGE: Final = ("rouge", "bleu", "chrf")
# What both records must agree on where they tell it, and which scores depend on it.
_COUNTED_BY: Final = {
    "rouge_tokenizer": _ROUGE,
    "multi_reference": _ROUGE,
    "contamination_charset": ("contamination", "foreign"),
    "slice": ("",),
}
_FEW_DIGITS: Final = 4
_ALL_DIGITS: Final = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one rule.

    Attributes:
        rule: The rule.
        is_passed: Whether it holds.
        message: The values, or why there are none.
        left: Value left of the comparison, of the worst slice where there are several; None where it is not known.
        right: Value right of it.
        slice_name: The slice that `left` is of; empty for all rows.
    """

    rule: GateRule
    is_passed: bool
    message: str
    left: float | None = None
    right: float | None = None
    slice_name: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether there were numbers to compare."""
        return self.left is not None and self.right is not None


def judge(rule: GateRule, scores: Scores, baseline: Scores | None = None) -> Verdict:
    """Hold a run against a rule.

    Args:
        rule: The rule.
        scores: The run's.
        baseline: The baseline's; needed where the rule says `baseline`.

    Returns:
        A verdict; of a rule over every slice of a column, that of the worst one.
    """
    column = rule.comparison.column
    if column is None:
        return _judge_one(rule, scores, baseline, slice_name="")
    values = [rule.comparison.value]
    if rule.comparison.value is None:
        stage = scores_in(rule.comparison.left)[:1] or scores_in(rule.comparison.right)
        known = [scores, baseline] if baseline and rule.baseline_score else [scores]
        prefix = stage[0].partition("/")[0] + "/"
        values = list(dict.fromkeys(value for one in known for value in one.slice_values(column, stage=prefix)))
        if not values:
            return Verdict(rule=rule, is_passed=False, message=f"{scores.source} has no slices of {column}")
    verdicts = [_judge_one(rule, scores, baseline, slice_name=f"{column}={value}") for value in values]
    return _worst(verdicts) if rule.comparison.value is None else verdicts[0]


def _judge_one(rule: GateRule, scores: Scores, baseline: Scores | None, *, slice_name: str) -> Verdict:
    bound = _Bound(rule, scores, baseline, slice_name)
    comparison = rule.comparison
    try:
        left, right = bound.value(comparison.left), bound.value(comparison.right)
    except Unjudged as error:
        return Verdict(rule=rule, is_passed=False, message=f"cannot be judged: {error}", slice_name=slice_name)
    is_passed = _COMPARE[comparison.symbol](left, right)
    return Verdict(
        rule=rule,
        is_passed=is_passed,
        message=_message(bound, left, right, is_passed=is_passed),
        left=left,
        right=right,
        slice_name=slice_name,
    )


class _Bound:
    """A rule's expressions with the numbers of one slice put in."""

    def __init__(self, rule: GateRule, scores: Scores, baseline: Scores | None, slice_name: str) -> None:
        self.rule = rule
        self._scores = scores
        self._baseline = baseline
        self._tail = f"/{slice_name}" if slice_name else ""

    def value(self, expression: Expression) -> float:
        """What an expression comes to in this run."""
        match expression:
            case Number(value):
                return value
            case Score(name):
                return self._scores.score(name + self._tail)
            case Baseline():
                return self._baseline_value()
            case Negation(operand):
                return -self.value(operand)
            case Call(function, operands):
                values = [self.value(operand) for operand in operands]
                return min(values) if function == "min" else max(values)
            case Operation(symbol, left, right):
                return self._computed(symbol, self.value(left), self.value(right))

    def _computed(self, symbol: str, left: float, right: float) -> float:
        if symbol == "/" and right == 0:
            raise Unjudged(f"{shown_number(left)} / 0 has no value")
        value = _COMPUTE[symbol](left, right)
        if not math.isfinite(value):
            raise Unjudged(f"{shown_number(left)} {symbol} {shown_number(right)} is beyond all numbers")
        return value

    def _baseline_value(self) -> float:
        name = self.rule.baseline_score
        if self._baseline is None:
            raise Unjudged("there is no baseline")
        for key, dependents in _COUNTED_BY.items():
            own, other = self._scores.record(key), self._baseline.record(key)
            is_told = (own is not None and other is not None) or key == "slice"
            if is_told and own != other and any(part in name for part in dependents):
                raise Unjudged(f"{key} is {own or 'none'} here and {other or 'none'} in {self._baseline.source}")
        return self._baseline.score(name + self._tail)

    def shown(self, digits: int) -> Callable[[Expression], str]:
        return lambda leaf: shown_number(self.value(leaf), digits)


def shown_number(value: float, digits: int = _FEW_DIGITS) -> str:
    """A number as people read it, never rounded left of the point.

    Example:
        >>> shown_number(211.3471), shown_number(12345.678), shown_number(0.00012), shown_number(-0.0)
        ('211.3', '12346', '0.00012', '0')
    """
    whole = len(str(int(abs(value)))) if abs(value) < 1e15 else 1
    return f"{value + 0.0:.{max(digits, whole)}g}"


def _message(bound: _Bound, left: float, right: float, *, is_passed: bool) -> str:
    comparison = bound.rule.comparison
    if is_passed and isinstance(comparison.right, Number):
        return shown_number(left, _digits(left, right))
    digits = _digits(left, right)
    symbol = comparison.symbol if is_passed else _OPPOSITE[comparison.symbol]
    text = f"{shown_number(left, digits)} {symbol} {shown_number(right, digits)}"
    formulas = [
        "baseline" if isinstance(side, Baseline) else render(side, bound.shown(digits))
        for side in (comparison.left, comparison.right)
        if not isinstance(side, (Number, Score))
        and not (isinstance(side, Negation) and isinstance(side.operand, Number))
    ]
    return f"{text} ({'; '.join(formulas)})" if formulas else text


def _digits(left: float, right: float) -> int:
    """So many that two different numbers do not look the same."""
    wide = range(_FEW_DIGITS, _ALL_DIGITS)
    return next((n for n in wide if left == right or shown_number(left, n) != shown_number(right, n)), _ALL_DIGITS)


def _worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict of the slice that is furthest from keeping the rule; one that cannot be judged is the worst."""
    worst = min(verdicts, key=_margin)
    failed = sum(not verdict.is_passed for verdict in verdicts)
    count = f"{failed} of {len(verdicts)} slices fail" if failed else f"worst of {len(verdicts)} slices"
    return Verdict(
        rule=worst.rule,
        is_passed=worst.is_passed,
        message=f"{worst.message} at {worst.slice_name}; {count}",
        left=worst.left,
        right=worst.right,
        slice_name=worst.slice_name,
    )


def _margin(verdict: Verdict) -> float:
    """By how much a rule is kept; below zero where it is not."""
    if verdict.left is None or verdict.right is None:
        return -math.inf
    difference = verdict.left - verdict.right
    symbol = verdict.rule.comparison.symbol
    margins = {"==": -abs(difference), "!=": abs(difference), "<": -difference, "<=": -difference}
    return margins.get(symbol, difference)
