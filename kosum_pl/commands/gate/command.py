"""`gate`: tell a CI server whether a run is good enough.

In: a run's `metrics.json`, a file of rules, and perhaps a baseline's `metrics.json`. Out: a line a rule, an exit
status, and JUnit XML or JSON. Nothing heavy is imported, so a server needs neither a GPU nor seconds.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kosum_pl.cli.arguments import Options
from kosum_pl.commands.gate.junit import json_text, junit_text
from kosum_pl.commands.gate.rules import RuleFile, read_rules
from kosum_pl.commands.gate.scores import Scores, read_scores
from kosum_pl.commands.gate.verdict import Verdict, judge
from kosum_pl.errors import UsageError
from kosum_pl.files import write_atomically
from kosum_pl.terminal import say

EXIT_FAILED: Final = 1


def run(options: Options) -> int:
    """Run the command; the exit status is 0 where all rules hold, 1 otherwise."""
    started = time.perf_counter()
    command, runs = options.command, options.runs
    if len(runs) != 1:
        raise UsageError(f"{command} needs one run, such as runs/demo/latest, not {len(runs)}; see {command} --help")
    if options.rules is None:
        raise UsageError(f"{command} needs --rules FILE.yaml; see {command} --help")
    rules, scores, baseline = _read(runs[0], rules=options.rules, baseline=options.baseline)
    verdicts = [judge(rule, scores, baseline) for rule in rules.rules]
    for line in _lines(verdicts, scores, baseline):
        say(line)
    source = baseline.source if baseline else None
    if options.junit:
        seconds = time.perf_counter() - started
        text = junit_text(verdicts, run=scores.source, baseline=source, seconds=seconds)
        write_atomically(options.junit, text)
        say(f"junit: {options.junit}")
    if options.json:
        text = json_text(verdicts, run=scores.source, baseline=source, rules=str(rules.path))
        write_atomically(options.json, text)
        say(f"json: {options.json}")
    return 0 if all(verdict.is_passed for verdict in verdicts) else EXIT_FAILED


def _read(run: Path, *, rules: Path, baseline: Path | None) -> tuple[RuleFile, Scores, Scores | None]:
    rule_file = read_rules(rules)
    scores = read_scores(run, option="run")
    given = baseline or rule_file.baseline
    needing = next((rule for rule in rule_file.rules if rule.baseline_score), None)
    if given is None and needing is not None:
        where = f"{rule_file.path}:{needing.line}"
        raise UsageError(f"{where}: rule '{needing.text}' needs a baseline; give --baseline RUN, or baseline: there")
    return rule_file, scores, read_scores(given, option="baseline") if given else None


def _lines(verdicts: Sequence[Verdict], scores: Scores, baseline: Scores | None) -> list[str]:
    """A line a rule in columns, and a summary."""
    texts = [_label(verdict) for verdict in verdicts]
    width = max(map(_width, texts))
    lines = []
    for verdict, text in zip(verdicts, texts, strict=True):
        why = f" - {verdict.rule.why}" if verdict.rule.why and not verdict.is_passed else ""
        padding = " " * (width - _width(text))
        lines.append(f"{'pass' if verdict.is_passed else 'FAIL'}  {text}{padding}  {verdict.message}{why}")
    failed = sum(not verdict.is_passed for verdict in verdicts)
    count = f"{failed} of {len(verdicts)} rules failed" if failed else f"{len(verdicts)} of {len(verdicts)} rules hold"
    against = f", baseline {baseline.source}" if baseline else ""
    state = f" ({scores.state})" if scores.is_unfinished else ""
    return [*lines, f"gate: {count}; run {scores.source}{state}{against}"]


def _label(verdict: Verdict) -> str:
    rule = verdict.rule
    return rule.text if rule.name == rule.text else f"{rule.name}: {rule.text}"


def _width(text: str) -> int:
    """Columns of a terminal: a Korean character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
