"""Whether a run keeps a rule, and what to say of it.

In: a rule, a run's scores and perhaps a baseline's. Out: a `Verdict`. What cannot be judged does not pass: a score that
is missing or no number, a quotient by zero, a baseline that was counted in another way. Pure; only the standard library
is imported.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from kosum_pl.commands.gate.rules import GateRule
from kosum_pl.commands.gate.scores import Scores, Unjudged
from kosum_pl.commands.gate.tree import Baseline, Expression, Number, Operation, Score, render, scores_in

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_OPPOSITE: Final = {">=": "<", ">": "<=", "<=": ">", "<": ">=", "==": "!=", "!=": "=="}
_COMPUTE: Final[dict[str, Callable[..., float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "min": lambda *values: min(values),
    "max": lambda *values: max(values),
}
_ROUGE: Final = ("rouge", "bleu", "chrf")
# What both records must agree on where they have it, and which scores depend on it.
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
    """Whether one rule holds.

    Attributes:
        left: Value left of the comparison, of the worst slice where there are several; None where it is not known.
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
    """Compare a run with a rule; a rule over every slice of a column gets the verdict of the worst one."""
    column, value = rule.comparison.column, rule.comparison.value
    if column is None:
        return _judge_one(rule, scores, baseline, slice_name="")
    if value is not None:
        return _judge_one(rule, scores, baseline, slice_name=f"{column}={value}")
    named = scores_in(rule.comparison.left) or scores_in(rule.comparison.right)
    stage = named[0].partition("/")[0] + "/"
    known = [scores, baseline] if baseline and rule.baseline_score else [scores]
    values = dict.fromkeys(value for one in known for value in one.slice_values(column, stage=stage))
    if not values:
        return Verdict(rule=rule, is_passed=False, message=f"{scores.source} has no slices of {column}")
    return _worst([_judge_one(rule, scores, baseline, slice_name=f"{column}={value}") for value in values])


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
            case Operation(symbol, operands):
                return self._computed(symbol, [self.value(operand) for operand in operands])

    def _computed(self, symbol: str, values: list[float]) -> float:
        if symbol == "-" and len(values) == 1:
            return -values[0]
        if symbol == "/" and values[1] == 0:
            raise Unjudged(f"{shown_number(values[0])} / 0 has no value")
        value = _COMPUTE[symbol](*values)
        if not math.isfinite(value):
            raise Unjudged(f"{f' {symbol} '.join(map(shown_number, values))} is beyond all numbers")
        return value

    def _baseline_value(self) -> float:
        name = self.rule.baseline_score
        if self._baseline is None:
            raise Unjudged("there is no baseline")
        for key, dependents in _COUNTED_BY.items():
            own, other = self._scores.record(key), self._baseline.record(key)
            is_recorded = (own is not None and other is not None) or key == "slice"
            if is_recorded and own != other and any(part in name for part in dependents):
                raise Unjudged(f"{key} is {own or 'none'} here and {other or 'none'} in {self._baseline.source}")
        return self._baseline.score(name + self._tail)

    def text(self, expression: Expression, digits: int) -> str:
        return render(expression, lambda leaf: shown_number(self.value(leaf), digits))


def shown_number(value: float, digits: int = _FEW_DIGITS) -> str:
    """A number as people read it, never rounded left of the point.

    Example:
        >>> shown_number(211.3471), shown_number(12345.678), shown_number(0.00012), shown_number(-0.0)
        ('211.3', '12346', '0.00012', '0')
    """
    whole = len(str(int(abs(value)))) if abs(value) < 1e15 else 1
    return f"{value + 0.0:.{max(digits, whole)}g}"


def _message(bound: _Bound, left: float, right: float, *, is_passed: bool) -> str:
    comparison, digits = bound.rule.comparison, _digits(left, right)
    if is_passed and isinstance(comparison.right, Number):
        return shown_number(left, digits)
    symbol = comparison.symbol if is_passed else _OPPOSITE[comparison.symbol]
    text = f"{shown_number(left, digits)} {symbol} {shown_number(right, digits)}"
    formulas = [
        "baseline" if isinstance(side, Baseline) else bound.text(side, digits)
        for side in (comparison.left, comparison.right)
        if not isinstance(side, (Number, Score)) and not _is_negative_number(side)
    ]
    return f"{text} ({'; '.join(formulas)})" if formulas else text


def _is_negative_number(expression: Expression) -> bool:
    match expression:
        case Operation("-", (Number(),)):
            return True
    return False


def _digits(left: float, right: float) -> int:
    """So many that two different numbers do not look the same."""
    wide = range(_FEW_DIGITS, _ALL_DIGITS)
    return next((n for n in wide if left == right or shown_number(left, n) != shown_number(right, n)), _ALL_DIGITS)


def _worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict of the slice that is furthest from keeping the rule; one that cannot be judged is the worst."""
    worst = min(verdicts, key=_margin)
    failed = sum(not verdict.is_passed for verdict in verdicts)
    count = f"{failed} of {len(verdicts)} slices fail" if failed else f"worst of {len(verdicts)} slices"
    return replace(worst, message=f"{worst.message} at {worst.slice_name}; {count}")


def _margin(verdict: Verdict) -> float:
    """By how much a rule is kept; below zero where it is not."""
    if verdict.left is None or verdict.right is None:
        return -math.inf
    difference = verdict.left - verdict.right
    symbol = verdict.rule.comparison.symbol
    margins = {"==": -abs(difference), "!=": abs(difference), "<": -difference, "<=": -difference}
    return margins.get(symbol, difference)
