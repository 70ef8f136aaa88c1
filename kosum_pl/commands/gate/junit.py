"""Verdicts as CI servers read them: JUnit XML and JSON.

In: verdicts. Out: text of a file. Each rule is a test case of one suite, so that a server shows by name what got worse
and since when. Only the standard library is imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final
from xml.etree import ElementTree

from kosum_pl.commands.gate.verdict import Verdict

CLASS_NAME: Final = "kosum_pl.gate"
"""Servers group test cases by this, and fold it at the points."""

# What XML 1.0 cannot hold in any form: control characters, surrogates and two non-characters.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(verdicts: Sequence[Verdict], *, run: str, baseline: str | None, seconds: float) -> str:
    """A JUnit XML file of one suite, as Jenkins, GitLab and GitHub's actions read it; judging took so many seconds.

    Example:
        >>> junit_text([], run="metrics.json", baseline=None, seconds=0.0).splitlines()[0]
        "<?xml version='1.0' encoding='utf-8'?>"
    """
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(sum(not verdict.is_passed for verdict in verdicts)),
        **{"errors": "0", "skipped": "0", "time": f"{seconds:.3f}"},
    }
    root = ElementTree.Element("testsuites", {"name": CLASS_NAME, **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(f"gate {run}"), **counts})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in {"run": run, "baseline": baseline or ""}.items():
        if value:
            ElementTree.SubElement(properties, "property", {"name": name, "value": _clean(value)})
    each = f"{seconds / max(1, len(verdicts)):.3f}"
    for verdict in verdicts:
        _add_case(suite, verdict, time=each)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written.decode("utf-8") + "\n"


def json_text(verdicts: Sequence[Verdict], *, run: str, baseline: str | None, rules: str) -> str:
    """The same as JSON, with the values as numbers, and the path of the rules file."""
    failed = sum(not verdict.is_passed for verdict in verdicts)
    values: dict[str, Any] = {
        "passed": failed == 0,
        "num_rules": len(verdicts),
        "num_failed": failed,
        "run": run,
        "baseline": baseline,
        "rules_file": rules,
        "rules": [_fields(verdict) for verdict in verdicts],
    }
    return json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _add_case(suite: ElementTree.Element, verdict: Verdict, *, time: str) -> None:
    rule = verdict.rule
    named = {"name": _clean(rule.name), "classname": CLASS_NAME, "time": time}
    case = ElementTree.SubElement(suite, "testcase", named)
    lines = [rule.text, verdict.message, *([f"why: {rule.why}"] if rule.why else [])]
    if verdict.is_passed:
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join(lines))
        return
    kind = "rule" if verdict.is_judged else "unjudged"
    failure = ElementTree.SubElement(case, "failure", {"message": _clean(verdict.message), "type": kind})
    failure.text = _clean("\n".join(lines))


def _fields(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.rule.name,
        "rule": verdict.rule.text,
        "why": verdict.rule.why,
        "line": verdict.rule.line,
        "passed": verdict.is_passed,
        "judged": verdict.is_judged,
        "message": verdict.message,
        "left": verdict.left,
        "right": verdict.right,
        "slice": verdict.slice_name,
    }


def _clean(text: str) -> str:
    r"""Text with `\x00` and the like written out.

    Example:
        >>> print(_clean("a\0b"))
        a\x00b
    """
    return _NOT_XML.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)
