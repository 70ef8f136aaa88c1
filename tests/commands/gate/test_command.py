from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kosum_pl.__main__ import main

SCORES = {"val/rouge_sum": 211.3, "val/contamination_rate": 0.0525, "val/rouge_sum/weekday=7": 180.0}
RULES = """\
- val/contamination_rate == 0
- val/rouge_sum >= 0.98 * baseline
- {rule: val/rouge_sum > 200, name: 루지 <하한> & "more"}
- {rule: slice weekday=7 val/bertscore_f1 > 0, why: "no\\0thing"}
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, scores in {"run": SCORES, "good": {**SCORES, "val/rouge_sum": 219.6}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(scores), encoding="utf-8")
    (tmp_path / "gates.yaml").write_text(RULES, encoding="utf-8")
    return tmp_path


def gate(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["gate", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_a_line_a_rule_and_a_summary(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = gate(capsys, "run", "--rules", "gates.yaml", "--baseline", "good")
    assert status == 1
    assert err == ""
    missing = "cannot be judged: val/bertscore_f1/weekday=7 is not in run/metrics.json; nearest: "
    assert out.splitlines()[:4] == [
        f"FAIL  val/contamination_rate == 0{' ' * 14}  0.0525 != 0",
        f"FAIL  val/rouge_sum >= 0.98 * baseline{' ' * 9}  211.3 < 215.2 (0.98 * 219.6)",
        'pass  루지 <하한> & "more": val/rouge_sum > 200  211.3',  # four wide characters: 41 columns
        f"FAIL  slice weekday=7 val/bertscore_f1 > 0{' ' * 5}  {missing}val/rouge_sum/weekday=7 - no\\x00thing",
    ]
    assert out.splitlines()[4:] == [
        "gate: 3 of 4 rules failed; run run/metrics.json, baseline good/metrics.json",
    ]


def test_all_rules_hold(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.yaml").write_text("baseline: run\nrules: [val/rouge_sum >= baseline]", encoding="utf-8")
    status, out, _ = gate(capsys, "good/metrics.json", "--rules=one.yaml")
    assert status == 0
    assert out == (
        "pass  val/rouge_sum >= baseline  219.6 >= 211.3 (baseline)\n"
        "gate: 1 of 1 rules hold; run good/metrics.json, baseline run/metrics.json\n"
    )
    # The command line wins over the file.
    assert gate(capsys, "run", "--rules=one.yaml", "--baseline", "good")[0] == 1


def test_junit_has_what_servers_read(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = gate(capsys, "run", "--rules", "gates.yaml", "--baseline", "good", "--junit", "gate.xml")
    assert status == 1
    assert out.endswith("junit: gate.xml\n")
    root = ElementTree.parse("gate.xml").getroot()
    (suite,) = root
    assert (root.tag, suite.tag, suite.attrib["name"]) == ("testsuites", "testsuite", "gate run/metrics.json")
    for element in (root, suite):
        counts = [element.attrib[name] for name in ("tests", "failures", "errors", "skipped")]
        assert counts == ["4", "3", "0", "0"]
        assert 0 <= float(element.attrib["time"]) < 10
    assert [(part.attrib["name"], part.attrib["value"]) for part in suite.iter("property")] == [
        ("run", "run/metrics.json"),
        ("baseline", "good/metrics.json"),
    ]
    cases = list(suite.iter("testcase"))
    assert [case.attrib["name"] for case in cases] == [
        "val/contamination_rate == 0",
        "val/rouge_sum >= 0.98 * baseline",
        '루지 <하한> & "more"',
        "slice weekday=7 val/bertscore_f1 > 0",
    ]
    assert {case.attrib["classname"] for case in cases} == {"kosum_pl.gate"}
    assert all(float(case.attrib["time"]) >= 0 for case in cases)
    assert cases[2].find("failure") is None
    first, second, third = suite.iter("failure")
    assert (first.attrib["type"], third.attrib["type"]) == ("rule", "unjudged")
    assert second.attrib == {"message": "211.3 < 215.2 (0.98 * 219.6)", "type": "rule"}
    assert (third.text or "").splitlines()[2] == "why: no\\x00thing"


def test_json_has_the_same_in_numbers(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate(capsys, "run", "--rules", "gates.yaml", "--baseline", "good", "--json", "gate.json")
    values = json.loads(Path("gate.json").read_text(encoding="utf-8"))
    rules = values.pop("rules")
    assert values == {
        "passed": False,
        "num_rules": 4,
        "num_failed": 3,
        "run": "run/metrics.json",
        "baseline": "good/metrics.json",
        "rules_file": "gates.yaml",
    }
    assert [(rule["passed"], rule["judged"], rule["left"]) for rule in rules] == [
        (False, True, 0.0525),
        (False, True, 211.3),
        (True, True, 211.3),
        (False, False, None),
    ]
    assert rules[1]["right"] == pytest.approx(215.208)
    assert [rule["slice"] for rule in rules] == ["", "", "", "weekday=7"]
    assert [rule["line"] for rule in rules] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "gate needs one run, such as runs/demo/latest, not 0; see gate --help"),
        (["run", "good", "--rules", "gates.yaml"], "gate needs one run, such as runs/demo/latest, not 2"),
        (["run"], "gate needs --rules FILE.yaml; see gate --help"),
        (["run", "--rules", "no.yaml"], "rules file no.yaml cannot be read: No such file or directory"),
        (["no", "--rules", "one.yaml"], "run 'no' does not exist; give a run directory such as runs/demo/latest"),
        (["run", "--rules", "gates.yaml"], "gates.yaml:2: rule 'val/rouge_sum >= 0.98 * baseline' needs a baseline"),
        (["run", "--rules", "one.yaml", "--baseline", "no"], "baseline 'no' does not exist"),
    ],
)
def test_slips_of_the_user_are_one_line_and_two(
    run: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("one.yaml").write_text("- val/rouge_sum > 0", encoding="utf-8")
    status, out, err = gate(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"kosum_pl: error: {message}")
    assert err.count("\n") == 1


def test_a_server_needs_nothing_heavy(run: Path) -> None:
    code = (
        "import sys; from kosum_pl.__main__ import main; status = main(sys.argv[1:]);"
        "loaded = {name.split('.')[0] for name in sys.modules};"
        "heavy = {'torch', 'numpy', 'lightning', 'transformers', 'rich', 'jsonargparse', 'torchmetrics'};"
        "print(sorted(loaded & heavy)); sys.exit(status)"
    )
    options = ["gate", "run", "--rules", "gates.yaml", "--baseline", "good", "--junit", "a.xml", "--json", "a.json"]
    result = subprocess.run(
        [sys.executable, "-c", code, *options],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
    )
    assert result.returncode == 1, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
