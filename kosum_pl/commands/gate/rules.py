"""Rules files of `gate`: which rules stand in one, and where.

In: a YAML file. Out: `RuleFile`, or a `ValueError` of one line with file, line and column. The file is composed, not
loaded: nothing in it becomes anything but text, and every text knows where it stands. Only the standard library and
yaml are imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from kosum_pl.commands.gate.grammar import MAX_SHOWN, RuleError, parse_rule
from kosum_pl.commands.gate.tree import Comparison, has_baseline, scores_in
from kosum_pl.errors import UsageError, one_line
from kosum_pl.plain_yaml import OutOfBoundsError, compose_plain

FILE_KEYS: Final = ("rules", "baseline")
RULE_KEYS: Final = ("rule", "name", "why")
_NULL: Final = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRule:
    """One rule of a file.

    Attributes:
        name: What it is called; its text where it has no name.
        line: Line of the file, counted from 1.
        baseline_score: The score that `baseline` means in it; empty where it says no `baseline`.
    """

    text: str
    name: str
    why: str = ""
    line: int = 1
    comparison: Comparison
    baseline_score: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """A whole file: at least one rule, and the run it names as baseline, relative to the file's folder."""

    path: Path
    rules: tuple[GateRule, ...]
    baseline: Path | None = None


def read_rules(path: Path) -> RuleFile:
    """Read a rules file.

    Args:
        path: A YAML list of rules, or a mapping with `rules:` and perhaps `baseline:`. A rule is a text, or a mapping
            with `rule:` and perhaps `name:` and `why:`.

    Raises:
        ValueError: There is no such file, it is no YAML, or it holds no rule or one that cannot be read.
    """
    source = _text_of(path)
    try:
        root = compose_plain(source, where=str(path))
    except OutOfBoundsError:
        raise
    except UsageError as error:
        hint = "; put a rule with '\"', ': ' or ' #' in it as a whole into single quotes"
        raise UsageError(f"{error}{hint}") from error
    return _Reader(path, source.splitlines()).file(root)


def baseline_score_of(comparison: Comparison) -> str:
    """The score that `baseline` means: the only one left of the comparison, or else the only one of the rule.

    Example:
        >>> baseline_score_of(parse_rule("val/rouge_sum >= max(0.98 * baseline, lead/rouge_sum)"))
        'val/rouge_sum'
        >>> baseline_score_of(parse_rule("val/loss < 1"))
        ''
    """
    left, right = scores_in(comparison.left), scores_in(comparison.right)
    names = list(dict.fromkeys([*left, *right]))
    if not names:
        raise UsageError("no score is named; begin with one, such as val/rouge_sum")
    if not has_baseline(comparison.left) and not has_baseline(comparison.right):
        return ""
    if len(left) != 1 and len(names) != 1:
        raise UsageError(f"'baseline' may mean {' or '.join(left or names)}; name one score left of the comparison")
    return left[0] if len(left) == 1 else names[0]


class _Reader:
    """Turns YAML nodes into rules; keeps what error messages need."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._lines = lines

    def file(self, root: yaml.Node | None) -> RuleFile:
        """A whole file."""
        baseline = None
        if isinstance(root, yaml.MappingNode):
            parts = self._parts(root, FILE_KEYS)
            if "baseline" in parts and parts["baseline"].tag != _NULL:
                baseline = self._path.parent / Path(self._text(parts["baseline"])).expanduser()
            root = parts.get("rules")
        if not isinstance(root, yaml.SequenceNode) or not root.value:
            raise UsageError(f"{self._path} holds no rules; write a list: - val/contamination_rate == 0")
        rules = tuple(self._rules(root))
        return RuleFile(path=self._path, rules=rules, baseline=baseline)

    def _rules(self, root: yaml.SequenceNode) -> Iterator[GateRule]:
        lines: dict[str, int] = {}
        for node in root.value:
            rule = self._rule(node)
            if rule.name in lines:
                raise UsageError(f"{self._position(node)}: '{rule.name}' stands in line {lines[rule.name]} already")
            lines[rule.name] = rule.line
            yield rule

    def _rule(self, node: yaml.Node) -> GateRule:
        parts = self._parts(node, RULE_KEYS) if isinstance(node, yaml.MappingNode) else {"rule": node}
        if "rule" not in parts:
            raise UsageError(f"{self._position(node)}: a rule is missing; write rule: val/contamination_rate == 0")
        written = parts["rule"]
        raw = self._text(written)
        text = one_line(raw)
        try:
            comparison = parse_rule(raw)
            baseline_score = baseline_score_of(comparison)
        except (RuleError, UsageError) as error:
            within = (raw, error.column) if isinstance(error, RuleError) else ()
            position = self._position(written, *within)
            raise UsageError(f"{position}: rule '{_shortened(text)}': {error}") from error
        name, why = (one_line(self._text(parts[key])) if key in parts else "" for key in ("name", "why"))
        return GateRule(
            text=text,
            name=name or text,
            why=why,
            line=written.start_mark.line + 1,
            comparison=comparison,
            baseline_score=baseline_score,
        )

    def _parts(self, node: yaml.MappingNode, known: tuple[str, ...]) -> dict[str, yaml.Node]:
        parts: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name not in known or name in parts:
                fault = "stands twice" if name in parts else "is unknown"
                raise UsageError(f"{self._position(key)}: key '{one_line(name)}' {fault}; keys: {', '.join(known)}")
            parts[name] = value
        return parts

    def _text(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        raise UsageError(f"{self._position(node)}: a text is due here, not a list or a mapping")

    def _position(self, node: yaml.Node, text: str = "", column: int = 0) -> str:
        """File, line and column; the column within the text where its line writes it in another way."""
        mark = node.start_mark
        line = self._lines[mark.line] if mark.line < len(self._lines) else ""
        opening = 1 if isinstance(node, yaml.ScalarNode) and node.style in ("'", '"') else 0
        if line[mark.column + opening :].startswith(text):
            return f"{self._path}:{mark.line + 1}:{mark.column + opening * bool(text) + column + 1}"
        return f"{self._path}:{mark.line + 1}: column {column + 1} of the rule"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise UsageError(f"rules file {path} cannot be read: {error.strerror}; give a YAML file") from error
