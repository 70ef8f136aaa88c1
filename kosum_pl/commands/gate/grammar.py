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
from typing import Final, NamedTuple

from kosum_pl.commands.gate.tree import (
    COMPARISONS,
    FUNCTIONS,
    Baseline,
    Comparison,
    Expression,
    Leaf,
    Number,
    Operation,
    Score,
)

BARE_NAME: Final = r"[^\W\d](?:[\w.]|/(?=[^\W\d])|=(?=\w))*"
"""What may stand as a name without quotes."""
MAX_DEPTH: Final = 50
"""Nested brackets and signs; the parser's own stack is bounded by it."""
MAX_TOKENS: Final = 200
"""Words and signs of a rule; the height of a tree is bounded by it."""
MAX_SHOWN: Final = 80
"""Characters of a rule that an error repeats."""

_END: Final = "end"
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

    Example:
        >>> parse_rule("val/rouge_sum >= 0.98 * baseline").right
        Operation(symbol='*', operands=(Number(value=0.98), Baseline()))
        >>> parse_rule("val/loss = 1")
        Traceback (most recent call last):
        kosum_pl.commands.gate.grammar.RuleError: '=' is no operator; equality is ==
    """
    column, value, start = _slice_of(text)
    parser = _Parser(_tokens(text, start))
    left = parser.sum()
    symbol = parser.take(*COMPARISONS)
    if not symbol:
        raise parser.refusal(f"where one of {' '.join(COMPARISONS)} is due")
    right = parser.sum()
    if parser.token.kind != _END:
        raise parser.refusal("where the rule should end")
    return Comparison(left=left, symbol=symbol, right=right, column=column, value=value)


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


class _Parser:
    """One pass over the tokens; each method reads what its name says."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    @property
    def token(self) -> _Token:
        return self._tokens[self._next]

    def take(self, *texts: str) -> str:
        """The next token, passed, if it is one of these; otherwise empty."""
        text = self.token.text
        if text not in texts:
            return ""
        self._next += 1
        return text

    def refusal(self, what_is_due: str) -> RuleError:
        found = "the rule ends" if self.token.kind == _END else f"'{self.token.text}' stands"
        return RuleError(f"{found} {what_is_due}", column=self.token.column)

    def sum(self) -> Expression:
        return self._chain("+", "-", operand=lambda: self._chain("*", "/", operand=self._factor))

    def _chain(self, *symbols: str, operand: Callable[[], Expression]) -> Expression:
        left = operand()
        while symbol := self.take(*symbols):
            left = Operation(symbol, (left, operand()))
        return left

    def _factor(self) -> Expression:
        token = self.token
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RuleError(f"more than {MAX_DEPTH} brackets and signs in each other", column=token.column)
        found: Expression
        if self.take("-"):
            found = Operation("-", (self._factor(),))
        elif self.take("("):
            found = self.sum()
            self._close()
        elif token.text in FUNCTIONS and self._tokens[self._next + 1].text == "(":
            self._next += 2
            operands = [self.sum()]
            while self.take(","):
                operands.append(self.sum())
            self._close()
            found = Operation(token.text, tuple(operands))
        elif token.kind in ("number", "name", "quoted"):
            self._next += 1
            found = _leaf(token)
        else:
            raise self.refusal("where a number or the name of a score is due")
        self._depth -= 1
        return found

    def _close(self) -> None:
        if not self.take(")"):
            raise self.refusal("where ) is due")


def _tokens(text: str, start: int) -> list[_Token]:
    """All tokens, and one behind the last that marks the end."""
    tokens, column = [], start
    while column < len(text):
        if text[column].isspace():
            column += 1
            continue
        match = _TOKEN.match(text, column)
        if match is None:
            raise RuleError(_unreadable(text, column), column=column)
        tokens.append(_Token(str(match.lastgroup), match.group(), column))
        column = match.end()
        if len(tokens) > MAX_TOKENS:
            raise RuleError(f"more than {MAX_TOKENS} words and signs", column=tokens[-1].column)
    return [*tokens, _Token(_END, "", len(text))]


def _unreadable(text: str, column: int) -> str:
    if text[column] == "=":
        return "'=' is no operator; equality is =="
    if text[column] == '"':
        return 'the quote does not end, or \\ stands in it before something else than " or \\'
    return f'{text[column:].split()[0][:MAX_SHOWN]!r} is no number, name or operator; put odd names in "quotes"'


def _slice_of(text: str) -> tuple[str | None, str | None, int]:
    """Column and value of a rule's slice, and where the comparison starts."""
    words = text.split(maxsplit=2)
    # A score may be called `slice`; then an operator follows, and no slice can start with one.
    if len(words) < 2 or words[0] != "slice" or words[1][0] in "<>=!+-*/":
        return None, None, 0
    match = _SLICE.match(text)
    if match is None:
        column = text.index("slice") + len("slice ")
        raise RuleError("after 'slice' COLUMN=VALUE or COLUMN=* is due, and a space", column=column)
    value = None if match["value"] == "*" else _unquoted(match["value"])
    return _unquoted(match["column"]), value, match.end()


def _leaf(token: _Token) -> Leaf:
    if token.kind == "number":
        value = float(token.text)
        if value == float("inf"):
            raise RuleError(f"{token.text} is too large for a number", column=token.column)
        return Number(value)
    if token.text == "baseline":
        return Baseline()
    name = _unquoted(token.text)
    if not name:
        raise RuleError("a name without a letter", column=token.column)
    return Score(name)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text
