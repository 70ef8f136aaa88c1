from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kosum_pl.commands.gate.grammar import BARE_NAME, MAX_DEPTH, RuleError, parse_rule
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
    has_baseline,
    render,
    scores_in,
)

NAMES = st.one_of(
    st.sampled_from(["val/rouge_sum", "val/rouge_sum/weekday=7", "lead/rouge1", "baseline", "min", "slice", "val/a/"]),
    st.sampled_from(
        ["val/rouge_sum/topic=여행", "val/x/topic=음식 주문", "lr-AdamW/pg1", 'a"b\\c', "7", "a=b", "a==b"]
    ),
    st.text(min_size=1, max_size=8),
)
LEAVES: st.SearchStrategy[Expression] = st.one_of(
    st.floats(min_value=0, max_value=1e300).map(Number), NAMES.map(Score), st.just(Baseline())
)
EXPRESSIONS: st.SearchStrategy[Expression] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Operation, st.just("-"), st.tuples(inner)),
        st.builds(Operation, st.sampled_from("+-*/"), st.tuples(inner, inner)),
        st.builds(Operation, st.sampled_from(FUNCTIONS), st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
COLUMNS = st.sampled_from(["weekday", "주제", "odd column", "a=b", '"', "*", ">", "slice"])
SLICES = st.one_of(
    st.just({}), st.builds(lambda column, value: {"column": column, "value": value}, COLUMNS, st.none() | NAMES)
)
PIECES = st.sampled_from([*'ab7.0e/=<>!+-*(),"\\ 가\x00\n²', "slice ", "baseline", "val/", "min(", ">="])


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def leaf_text(leaf: Leaf) -> str:
    match leaf:
        case Number(value):
            return repr(value).removesuffix(".0")
        case Score(name):
            return name if re.fullmatch(BARE_NAME, name) and name != "baseline" else quoted(name)
    return "baseline"


def written(rule: Comparison) -> str:
    """A rule as somebody would write it down."""
    text = f"{render(rule.left, leaf_text)} {rule.symbol} {render(rule.right, leaf_text)}"
    if rule.column is None:
        return text
    column, value = (
        word if re.fullmatch(r"[\w.]+", word) else quoted(word) for word in (rule.column, rule.value or "")
    )
    return f"slice {column}={'*' if rule.value is None else value} {text}"


def error_of(text: str) -> RuleError | None:
    try:
        parse_rule(text)
    except RuleError as error:
        return error
    return None


@given(left=EXPRESSIONS, symbol=st.sampled_from(COMPARISONS), right=EXPRESSIONS, part=SLICES)
def test_what_is_written_is_read_as_the_same(
    left: Expression, symbol: str, right: Expression, part: dict[str, str]
) -> None:
    rule = Comparison(left=left, symbol=symbol, right=right, **part)
    assert parse_rule(written(rule)) == rule


@given(st.lists(PIECES, max_size=20).map("".join) | st.text())
@example("slice")
@example("slice ")
@example("slice slice=slice ")
@example("(" * 2_000)
@example("-" * 2_000 + "1")
@example("val/a" + " + 1" * 2_000 + " > 0")
@example("min(" * 60 + "1")
@example("val/a > 1e999")
def test_any_text_is_a_rule_or_one_error_within_the_text(text: str) -> None:
    error = error_of(text)
    if error is None:
        rule = parse_rule(text)
        assert parse_rule(written(rule)) == rule
    else:
        assert str(error)
        assert 0 <= error.column <= len(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("val/a>=0.98*baseline", "val/a >= 0.98 * baseline"),
        ("val/a >= baseline-1.5", "val/a >= baseline - 1.5"),
        ("val/a/2 > 1", "val/a / 2 > 1"),
        ("val/rouge_sum/weekday=7>=3", "val/rouge_sum/weekday=7 >= 3"),
        ("val/rouge_sum/weekday=7==3", "val/rouge_sum/weekday=7 == 3"),
        ("val/a - 1 - 2 > -(3 + 4) * 5", "(val/a - 1) - 2 > (-(3 + 4)) * 5"),
        ("val/a - 1 * 2 > 1e-3", "val/a - (1 * 2) > .001"),
        ("slice weekday=7 val/a > 1", 'slice  "weekday"="7"   val/a > 1.'),
        ("slice 주제=음식 val/a > 1", 'slice 주제="음식" val/a > 1'),
        ("slice > 1", '"slice" > 1'),
        ("min > max", '"min" > "max"'),
    ],
)
def test_two_ways_to_write_the_same(text: str, same: str) -> None:
    assert parse_rule(text) == parse_rule(same)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("val/a-val/b > 0", ["val/a", "val/b"]),
        ('"val/a-val/b" > 0', ["val/a-val/b"]),
        ("val/a/b > 0", ["val/a/b"]),
        ("val/a / b > 0", ["val/a", "b"]),
        ("min(val/한글, -val/a.b) + val/a.b > 0", ["val/한글", "val/a.b"]),
        (r'"a\"b\\c" > 0', [r'a"b\c']),
    ],
)
def test_where_a_name_ends(text: str, names: list[str]) -> None:
    assert scores_in(parse_rule(text).left) == names


def test_quotes_make_a_score_of_baseline_and_a_value_of_a_star() -> None:
    rule = parse_rule('slice a="*" "baseline" > baseline')
    assert (has_baseline(rule.left), has_baseline(rule.right), rule.value) == (False, True, "*")
    assert parse_rule("slice a=* b > 1").value is None


def test_only_what_stands_in_each_other_is_bounded() -> None:
    text = "val/a > 1" + " + -1" * (MAX_DEPTH + 1)
    assert written(parse_rule(text)).count("-1") == MAX_DEPTH + 1


def test_brackets_stand_only_where_they_matter() -> None:
    rule = parse_rule('((a + b)) * ((c)) - (d - (e)) - f * ("g h" / 2.50) > 0')
    assert written(rule) == '(a + b) * c - (d - e) - f * ("g h" / 2.5) > 0'


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("", "the rule ends where a number or the name of a score is due", 0),
        ("val/a", "the rule ends where one of >= <= == != > < is due", 5),
        ("val/a = 3", "'=' is no operator; equality is ==", 6),
        ("val/a >= ", "the rule ends where a number or the name of a score is due", 9),
        ("val/a >= 3 4", "'4' stands where the rule should end", 11),
        ("0 <= val/a <= 1", "'<=' stands where the rule should end", 11),
        ("(val/a > 3", "'>' stands where ) is due", 7),
        ("val/a >= 98%", "'%' is no number, name or operator; put odd names in \"quotes\"", 11),
        ("val/a >= 3x", "'3x' is no number, name or operator; put odd names in \"quotes\"", 9),
        ('val/a >= "b', "the quote does not end", 9),
        (r'"\n" > 1', "the quote does not end", 0),
        ('"" > 1', "a name without a letter", 0),
        ("slice weekday val/a > 1", "after 'slice' COLUMN=VALUE or COLUMN=* is due, and a space", 6),
        ("val/a > 1e999", "1e999 is too large for a number", 8),
        ("(" * (MAX_DEPTH + 1), f"more than {MAX_DEPTH} brackets and signs in each other", MAX_DEPTH),
        ("1" + "+1" * 101, "more than 200 words and signs", 200),
        ("__import__('os') > 1", "\"'os')\" is no number", 11),
    ],
)
def test_an_error_says_what_stands_where(text: str, message: str, column: int) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert message in str(caught.value)
    assert caught.value.column == column
