from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.commands.gate.grammar import parse_rule
from kosum_pl.commands.gate.rules import GateRule, baseline_score_of
from kosum_pl.commands.gate.scores import Scores, read_scores
from kosum_pl.commands.gate.verdict import Verdict, judge, shown_number
from kosum_pl.errors import UsageError

RUN: dict[str, Any] = {
    "val/rouge_sum": 211.347,
    "val/rouge_sum/weekday=7": 180.0,
    "val/rouge_sum/weekday=1": 230.0,
    "val/contamination_rate": 0.0,
    "val/contamination_rate/weekday=1": 0.0,
    "val/contamination_rate/weekday=7": 0.0525,
    "val/contamination_rate/weekday=10": 0.01,
    "val/rouge_sum/topic=음식 주문": 200.0,
    "val/nan": math.nan,
    "val/inf": math.inf,
    "val/zero": -0.0,
    "lead/rouge_sum": 45.2,
    "num_rows": 400,
    "preset": "fast",
    "is_x": True,
    "none": None,
    "rouge_tokenizer": "kiwi 0.24.1",
    "contamination_charset": "korean",
}


def verdict(text: str, baseline: dict[str, Any] | None = None, run: dict[str, Any] | None = None) -> Verdict:
    comparison = parse_rule(text)
    rule = GateRule(text=text, name=text, comparison=comparison, baseline_score=baseline_score_of(comparison))
    other = Scores(baseline, source="base.json") if baseline is not None else None
    return judge(rule, Scores(run or RUN, source="m.json"), other)


@pytest.mark.parametrize(
    ("text", "is_passed", "message"),
    [
        ("val/contamination_rate == 0", True, "0"),
        ("val/zero == 0", True, "0"),
        ("val/contamination_rate/weekday=7 == 0", False, "0.0525 != 0"),
        ("val/rouge_sum >= 0.98 * baseline", False, "211.3 < 215.2 (0.98 * 219.6)"),
        ("val/rouge_sum >= baseline", False, "211.3 < 219.6 (baseline)"),
        ("val/rouge_sum >= baseline - 10", True, "211.3 >= 209.6 (219.6 - 10)"),
        ("val/rouge_sum >= lead/rouge_sum + 20", True, "211.3 >= 65.2 (45.2 + 20)"),
        ("val/rouge_sum >= lead/rouge_sum", True, "211.3 >= 45.2"),
        ("val/rouge_sum - lead/rouge_sum > 2 * 90", False, "166.1 <= 180 (211.3 - 45.2; 2 * 90)"),
        ("val/rouge_sum > 211.347", False, "211.3 <= 211.3"),
        ("val/rouge_sum > 211.3471", False, "211.347 <= 211.3471"),
        ("val/rouge_sum != 211.347", False, "211.3 == 211.3"),
        ("val/rouge_sum > -3", True, "211.3 > -3"),
        ("num_rows > 399", True, "400"),
        ("slice weekday=7 val/rouge_sum >= 0.95 * baseline", False, "180 < 190 (0.95 * 200)"),
        ('slice topic="음식 주문" val/rouge_sum >= 200', True, "200"),
        ("slice weekday=* val/contamination_rate == 0", False, "0.0525 != 0 at weekday=7; 2 of 3 slices fail"),
        ("slice weekday=* val/contamination_rate < 0.1", True, "0.0525 at weekday=7; worst of 3 slices"),
        ("slice weekday=* val/contamination_rate != 0.02", True, "0.01 at weekday=10; worst of 3 slices"),
        ("min(val/rouge_sum, lead/rouge_sum) > 45", True, "45.2"),
    ],
)
def test_verdicts_in_numbers(text: str, is_passed: bool, message: str) -> None:
    baseline = {"val/rouge_sum": 219.6, "val/rouge_sum/weekday=7": 200.0, "rouge_tokenizer": "kiwi 0.24.1"}
    found = verdict(text, baseline)
    assert (found.is_passed, found.message) == (is_passed, message)
    assert found.is_judged


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("val/bertscore_f1 >= 0.7", "val/bertscore_f1 is not in m.json"),
        ("val/rouge_sums >= 0.7", "val/rouge_sums is not in m.json; nearest: val/rouge_sum"),
        ("완전히_다른 != 1", "완전히_다른 is not in m.json"),
        ("val/nan >= 0", "val/nan is not a number in m.json"),
        ("val/nan != 0", "val/nan is not a number in m.json"),
        ("val/inf > 0", "val/inf is inf in m.json"),
        ("preset > 0", "preset is 'fast' in m.json"),
        ("is_x > 0", "is_x is True in m.json"),
        ("none != 1", "none is None in m.json"),
        ("val/rouge_sum / val/zero > 1", "211.3 / 0 has no value"),
        ("min(val/rouge_sum * 1e300 * 1e300, 1) > 0", "2.113e+302 * 1e+300 is beyond all numbers"),
        ("slice weekday=3 val/rouge_sum > 1", "val/rouge_sum/weekday=3 is not in m.json; nearest: "),
        ("val/loss >= baseline", "val/loss is not in m.json"),
        ("lead/rouge_sum >= baseline", "lead/rouge_sum is not in base.json"),
        ("slice weekday=* val/rouge_sum > 1", "val/rouge_sum/weekday=10 is not in m.json; nearest: "),
    ],
)
def test_what_cannot_be_judged_does_not_pass(text: str, reason: str) -> None:
    found = verdict(text, {"val/loss": 1.0})
    assert not found.is_passed
    assert not found.is_judged
    assert f"cannot be judged: {reason}" in found.message


@pytest.mark.parametrize(
    ("text", "run", "is_passed", "message"),
    [
        ("slice hour=* val/rouge_sum > 1", RUN, False, "m.json has no slices of hour"),
        # Slices of another stage are none of this one.
        ("slice d=* val/a > 1", {"val/a/d=1": 2.0, "start/a/d=2": 0.0}, True, "2 at d=1; worst of 1 slices"),
    ],
)
def test_which_slices_a_column_has(text: str, run: dict[str, Any], is_passed: bool, message: str) -> None:
    found = verdict(text, run=run)
    assert (found.is_passed, found.message) == (is_passed, message)


def test_a_slice_that_only_the_baseline_has_fails() -> None:
    run = {"val/a/d=1": 2.0}
    baseline = {"val/a/d=1": 1.0, "val/a/d=2": 1.0}
    assert verdict("slice d=* val/a > 1", baseline, run).is_passed
    found = verdict("slice d=* val/a > baseline", baseline, run)
    assert not found.is_passed
    assert "val/a/d=2 is not in m.json" in found.message


@pytest.mark.parametrize(
    ("record", "text", "is_judged"),
    [
        ({"rouge_tokenizer": "mecab"}, "val/rouge_sum >= baseline", False),
        ({"rouge_tokenizer": "mecab"}, "val/contamination_rate <= baseline", True),
        ({"contamination_charset": "latin"}, "val/contamination_rate <= baseline", False),
        ({"slice": "weekday=7"}, "val/contamination_rate <= baseline", False),
        ({}, "val/rouge_sum >= baseline", True),
    ],
)
def test_a_baseline_counted_in_another_way_is_none(record: dict[str, Any], text: str, is_judged: bool) -> None:
    found = verdict(text, {"val/rouge_sum": 0.0, "val/contamination_rate": 1.0, **record})
    assert (found.is_passed, found.is_judged) == (is_judged, is_judged)


def test_the_same_korean_name_in_either_form() -> None:
    decomposed = "\u1112\u1161\u11ab"  # 한
    run = {f"val/a/topic={decomposed}": 3.0}
    assert verdict("slice topic=한 val/a == 3", run=run).is_passed
    assert verdict(f"val/a/topic={decomposed} == 3", run={"val/a/topic=한": 3.0}).is_passed


FLOATS = st.floats(-1e6, 1e6)


@given(a=FLOATS, b=FLOATS, c=FLOATS, symbol=st.sampled_from([">=", "<=", ">", "<", "==", "!="]))
def test_arithmetic_is_that_of_python(a: float, b: float, c: float, symbol: str) -> None:
    run = {"val/a": a, "val/b": b, "val/c": c}
    formula = "max({a} - {b} * 2, -{c}) + ({a} - {b} - {c}) * 0.5"
    text = formula.format(a="val/a", b="val/b", c="val/c")
    expected = eval(formula.format(a=f"({a!r})", b=f"({b!r})", c=f"({c!r})"))
    found = verdict(f"{text} {symbol} val/a", run=run)
    assert found.left == expected
    assert found.is_passed == eval(f"{expected!r} {symbol} {a!r}")


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.678, "12346"), (211.3471, "211.3"), (0.00012, "0.00012"), (1e20, "1e+20"), (-0.0, "0"), (-7.0, "-7")],
)
def test_numbers_are_short_and_whole_left_of_the_point(value: float, text: str) -> None:
    assert shown_number(value) == text


@given(st.floats(-1e300, 1e300), st.integers(4, 17))
def test_a_shown_number_is_near(value: float, digits: int) -> None:
    assert float(shown_number(value, digits)) == pytest.approx(value, rel=10.0 ** (1 - digits))


def test_a_run_a_folder_of_it_or_the_file(tmp_path: Path) -> None:
    path = tmp_path / "latest" / "metrics.json"
    path.parent.mkdir()
    path.write_text('{"val/a": 1.5, "val/b": NaN}', encoding="utf-8")
    for given_path in (path, path.parent):
        scores = read_scores(given_path, option="run")
        assert (scores.source, scores.score("val/a")) == (str(path), 1.5)
    with pytest.raises(UsageError, match=r"baseline '.*' has no metrics.json; did you mean .*latest\?"):
        read_scores(tmp_path, option="baseline")
    with pytest.raises(UsageError, match=r"run '.*/nope' does not exist; give a run directory such as"):
        read_scores(tmp_path / "nope", option="run")


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b'"val/a"', b"[" * 100_000])
def test_what_is_no_metrics_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"run .*metrics\.json is no metrics\.json: "):
        read_scores(tmp_path, option="run")


def test_what_the_recorder_writes_is_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(RUN, ensure_ascii=False), encoding="utf-8")
    assert read_scores(tmp_path, option="run").slice_values("weekday", stage="val/") == ["1", "7", "10"]
