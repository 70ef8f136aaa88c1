"""The language of a gate's rules: text to a tree and back, by recursive descent; nothing is ever evaluated by Python.

In: a rule such as `slice weekday=7 val/rouge_sum >= 0.98 * baseline`. Out: a `Comparison`, or a `RuleError` that knows
the column. Only the standard library is imported.

    rule     = [ "slice" column "=" (value | "*") ] sum ( ">=" | ">" | "<=" | "<" | "==" | "!=" ) sum
    sum      = product { ("+" | "-") product }
    product  = factor { ("*" | "/") factor }
    factor   = "-" factor | "(" sum ")" | ("min" | "max") "(" sum { "," sum } ")" | number | "baseline" | name | quoted
    name     = letters, digits, "_" and "."; a "/" goes on with a name where a letter follows, a "=" where no "=" does

Scores are named with slashes, so `val/rouge_sum/weekday=7` is a name, `val/rouge_sum / 2` and `val/rouge_sum/2` are
divisions, and `baseline-1.5` is a difference; any other name stands in quotes: `"lr-AdamW/pg1"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from kosum_pl.commands.gate.tree import (
    BARE_NAME,
    BASELINE,
    COMPARISONS,
    EVERY,
    FUNCTIONS,
    SLICE,
    Baseline,
    Call,
    Comparison,
    Expression,
    Negation,
    Number,
    Operation,
    Score,
)

MAX_DEPTH: Final = 50
"""Nested brackets and signs; the parser's own stack is bounded by it."""
MAX_TOKENS: Final = 200
"""Words and signs of a rule; the height of a tree is bounded by it."""
MAX_SHOWN: Final = 80
"""Characters of a rule that an error repeats."""

_QUOTED: Final = r'"(?:[^"\\]|\\["\\])*"'
_TOKEN: Final = re.compile(
    rf"(?P<quoted>{_QUOTED})|(?P<name>{BARE_NAME})"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<symbol>[<>=!]=|[<>()+*/,-])"
)
_SLICE: Final = re.compile(
    rf'\s*slice\s+(?P<column>{_QUOTED}|[^\s"=]+)=(?P<value>{_QUOTED}|(?!=)[^\s"]+)(?=\s)', flags=re.UNICODE
)


class RuleError(ValueError):
    """A rule cannot be read.

    Attributes:
        column: Where in the rule's text, counted from 0.
    """

    def __init__(self, message: str, *, column: int) -> None:
        super().__init__(message)
        self.column = column


def parse_rule(text: str) -> Comparison:
    """Read one rule.

    Args:
        text: As it stands in the rules file.

    Raises:
        RuleError: It is no rule; the message says what stands where.

    Example:
        >>> parse_rule("val/rouge_sum >= 0.98 * baseline").right
        Operation(symbol='*', left=Number(value=0.98), right=Baseline())
        >>> parse_rule("val/loss = 1")
        Traceback (most recent call last):
        kosum_pl.commands.gate.grammar.RuleError: '=' is no operator; equality is ==
    """
    column, value, start = _slice_of(text)
    parser = _Parser(_tokens(text, start), end=len(text))
    left = parser.sum()
    symbol, place = parser.symbol, parser.place
    if symbol not in COMPARISONS:
        raise RuleError(f"{parser.shown} where one of {' '.join(COMPARISONS)} is due", column=place)
    parser.advance()
    right = parser.sum()
    if not parser.is_at_end:
        raise RuleError(f"{parser.shown} where the rule should end", column=parser.place)
    return Comparison(left=left, symbol=symbol, right=right, column=column, value=value)


class _Parser:
    """One pass over the tokens; each method reads what its name says."""

    def __init__(self, tokens: list[tuple[str, str, int]], *, end: int) -> None:
        self._tokens = [*tokens, ("end", "", end)]
        self._next = 0
        self._depth = 0

    @property
    def symbol(self) -> str:
        kind, text, _ = self._tokens[self._next]
        return text if kind == "symbol" else ""

    @property
    def place(self) -> int:
        return self._tokens[self._next][2]

    @property
    def is_at_end(self) -> bool:
        return self._next == len(self._tokens) - 1

    @property
    def shown(self) -> str:
        return "the rule ends" if self.is_at_end else f"'{self._tokens[self._next][1]}' stands"

    def advance(self) -> None:
        self._next += 1

    def sum(self) -> Expression:
        return self._chain("+-", lambda: self._chain("*/", self._factor))

    def _chain(self, symbols: str, operand: Callable[[], Expression]) -> Expression:
        left = operand()
        while self.symbol and self.symbol in symbols:
            symbol = self.symbol
            self.advance()
            left = Operation(symbol, left, operand())
        return left

    def _factor(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RuleError(f"more than {MAX_DEPTH} brackets and signs in each other", column=self.place)
        kind, text, place = self._tokens[self._next]
        if self.symbol in ("-", "("):
            self.advance()
            found = Negation(self._factor()) if text == "-" else self._closed([self.sum()])[0]
        elif kind == "name" and text in FUNCTIONS and self._tokens[self._next + 1][1] == "(":
            self._next += 2
            found = Call(text, self._closed(self._operands()))
        elif kind in ("number", "name", "quoted"):
            self.advance()
            found = _leaf(kind, text, place)
        else:
            raise RuleError(f"{self.shown} where a number or the name of a score is due", column=place)
        self._depth -= 1
        return found

    def _operands(self) -> list[Expression]:
        operands = [self.sum()]
        while self.symbol == ",":
            self.advance()
            operands.append(self.sum())
        return operands

    def _closed(self, operands: list[Expression]) -> tuple[Expression, ...]:
        if self.symbol != ")":
            raise RuleError(f"{self.shown} where ) is due", column=self.place)
        self.advance()
        return tuple(operands)


def _tokens(text: str, start: int) -> list[tuple[str, str, int]]:
    """Kind, text and place of each token."""
    tokens, place = [], start
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        match = _TOKEN.match(text, place)
        if match is None:
            raise RuleError(_unreadable(text, place), column=place)
        tokens.append((str(match.lastgroup), match.group(), place))
        place = match.end()
        if len(tokens) > MAX_TOKENS:
            raise RuleError(f"more than {MAX_TOKENS} words and signs", column=tokens[-1][2])
    return tokens


def _unreadable(text: str, place: int) -> str:
    if text[place] == "=":
        return "'=' is no operator; equality is =="
    if text[place] == '"':
        return 'the quote does not end, or \\ stands in it before something else than " or \\'
    return f'{text[place:].split()[0][:MAX_SHOWN]!r} is no number, name or operator; put odd names in "quotes"'


def _slice_of(text: str) -> tuple[str | None, str | None, int]:
    """Column and value of a rule's slice, and where the comparison starts."""
    words = text.split(maxsplit=2)
    # A score may be called `slice`; then an operator follows, and no slice can start with one.
    if len(words) < 2 or words[0] != SLICE or words[1][0] in "<>=!+-*/":
        return None, None, 0
    match = _SLICE.match(text)
    if match is None:
        column = text.index(SLICE) + len(SLICE) + 1
        raise RuleError("after 'slice' COLUMN=VALUE or COLUMN=* is due, and a space", column=column)
    value = None if match["value"] == EVERY else _unquoted(match["value"])
    return _unquoted(match["column"]), value, match.end()


def _leaf(kind: str, text: str, place: int) -> Expression:
    if kind == "number":
        value = float(text)
        if value == float("inf"):
            raise RuleError(f"{text} is too large for a number", column=place)
        return Number(value)
    if text == BASELINE:
        return Baseline()
    name = _unquoted(text)
    if not name:
        raise RuleError("a name without a letter", column=place)
    return Score(name)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
