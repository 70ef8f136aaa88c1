from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kosum_pl.commands.gate.rules import RuleFile, read_rules
from kosum_pl.errors import UsageError

LIST = """\
# python -m kosum_pl gate RUN --rules gates.yaml
- val/contamination_rate == 0
- val/rouge_sum >= 0.98 * baseline        # a comment
- slice weekday=* val/contamination_rate == 0
- {rule: '"lr-AdamW/pg1" < 0.001', name: rate, why: "it   diverges"}
- rule: >-
    val/rouge_sum >=
    lead/rouge_sum + 20
"""


def read(tmp_path: Path, text: str) -> RuleFile:
    path = tmp_path / "gates.yaml"
    path.write_text(text, encoding="utf-8")
    return read_rules(path)


def error_of(tmp_path: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_list_of_rules(tmp_path: Path) -> None:
    rules = read(tmp_path, LIST).rules
    assert [rule.text for rule in rules] == [
        "val/contamination_rate == 0",
        "val/rouge_sum >= 0.98 * baseline",
        "slice weekday=* val/contamination_rate == 0",
        '"lr-AdamW/pg1" < 0.001',
        "val/rouge_sum >= lead/rouge_sum + 20",
    ]
    assert [rule.line for rule in rules] == [2, 3, 4, 5, 6]
    assert [rule.baseline_score for rule in rules] == ["", "val/rouge_sum", "", "", ""]
    assert [rule.name == rule.text for rule in rules] == [True, True, True, False, True]
    assert (rules[3].name, rules[3].why) == ("rate", "it diverges")


def test_a_mapping_names_a_baseline_beside_it(tmp_path: Path) -> None:
    file = read(tmp_path, "baseline: good/metrics.json\nrules:\n- val/a > baseline\n")
    assert file.baseline == tmp_path / "good" / "metrics.json"
    assert read(tmp_path, "baseline: /good\nrules: [val/a > baseline]\n").baseline == Path("/good")
    assert read(tmp_path, "baseline:\nrules: [val/a > 1]\n").baseline is None


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeff- val/a > 1\n").rules[0].text == "val/a > 1"
    assert error_of(tmp_path, "\ufeff- val/a 1\n").startswith("gates.yaml:1:9: rule 'val/a 1'")


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("val/a >= baseline", "val/a"),
        ("0.9 * baseline <= val/a", "val/a"),
        ("val/a / val/a >= baseline", "val/a"),
        ("val/a >= max(baseline, lead/a)", "val/a"),
        ("val/a - baseline >= lead/a", "val/a"),
    ],
)
def test_which_score_baseline_means(tmp_path: Path, text: str, score: str) -> None:
    assert read(tmp_path, f"- {text}").rules[0].baseline_score == score


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- val/a > 1\n- val/b = 3\n", "gates.yaml:2:9: rule 'val/b = 3': '=' is no operator; equality is =="),
        ("rules:\n  - rule: 'val/b 3'", "gates.yaml:2:18: rule 'val/b 3': '3' stands where one of"),
        ("- >-\n  val/b\n  > 3 4\n", "gates.yaml:1: column 11 of the rule: rule 'val/b > 3 4': '4' stands where"),
        ("- val/a - val/b > baseline", "gates.yaml:1:3: rule 'val/a - val/b > baseline': 'baseline' may mean val/a or"),
        ("- 1 > 0", "gates.yaml:1:3: rule '1 > 0': no score is named; begin with one, such as val/rouge_sum"),
        ("- baseline > 0", "gates.yaml:1:3: rule 'baseline > 0': no score is named"),
        ("- val/a > 1\n- val/a > 1", "gates.yaml:2:3: 'val/a > 1' stands in line 1 already"),
        ("- val/a: 1", "gates.yaml:1:3: key 'val/a' is unknown; keys: rule, name, why"),
        ("- rule: val/a > 1\n  rule: val/a > 2", "gates.yaml:2:3: key 'rule' stands twice; keys: rule, name, why"),
        ("- 1" + "+1" * 999, f"gates.yaml:1:203: rule '1{'+1' * 39}…': more than 200 words and signs"),
        ("- name: x", "gates.yaml:1:3: a rule is missing; write rule: val/contamination_rate == 0"),
        ("- [val/a > 1]", "gates.yaml:1:3: a text is due here, not a list or a mapping"),
        ("rule: val/a > 1", "gates.yaml:1:1: key 'rule' is unknown; keys: rules, baseline"),
        ("", "gates.yaml holds no rules; write a list: - val/contamination_rate == 0"),
        ("[]", "gates.yaml holds no rules"),
        ("val/a > 1", "gates.yaml holds no rules"),
        ("baseline: x", "gates.yaml holds no rules"),
        ('- "val/a" > 1', "gates.yaml:1:13: not YAML: expected"),
        ("- \x01", "gates.yaml: not YAML: "),
        ("[" * 800, "gates.yaml"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_position(tmp_path: Path, text: str, message: str) -> None:
    assert error_of(tmp_path, text).startswith(message)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rules file .*no\.yaml cannot be read: No such file or directory"):
        read_rules(tmp_path / "no.yaml")
    (tmp_path / "a.yaml").write_bytes("- 가".encode("cp949"))
    with pytest.raises(UsageError, match=r"a\.yaml is no UTF-8 text"):
        read_rules(tmp_path / "a.yaml")


PIECES = ["- ", "rules:", "rule: ", "name: a", "\n", "  ", "val/a > 1", "baseline", *"\"'{[|#", "&a ", "*a", "!!x "]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(st.characters(exclude_categories=["Cs"])))
@example("- &a [*a]")
@example("&a [*a]")
@example("- ''")
def test_any_file_is_rules_or_one_line(tmp_path: Path, text: str) -> None:
    try:
        rules, error = read(tmp_path, text).rules, ""
    except UsageError as raised:
        rules, error = (), str(raised)
    assert rules or "gates.yaml" in error
