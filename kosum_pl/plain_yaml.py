"""YAML as plain values, within bounds: the one parser of everything that a user writes in YAML.

In: a text that anybody may have written: a config, a preset, rules of a gate. Out: plain values or nodes, or one line
with file and line. A few hundred bytes of aliases can stand for a billion values, an alias can lead to itself, and ten
thousand brackets end Python's stack: all of that is refused before any value is made. Only yaml is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from kosum_pl.errors import UsageError, one_line

MAX_DEPTH: Final = 50
MAX_VALUES: Final = 200_000
MAX_CHARACTERS: Final = 4 << 20


class OutOfBoundsError(UsageError):
    """A text that may be YAML, of more than a config can be."""


def read_plain(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        UsageError: It is not UTF-8 or no YAML, says a key twice, or is out of bounds.
        OSError: It cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    return load_plain(text, where=str(path))


def load_plain(text: str, *, where: str) -> Any:
    """What a YAML text holds; `where` is its name in messages.

    Example:
        >>> load_plain("a: [1, 나]", where="x.yaml")
        {'a': [1, '나']}
        >>> load_plain("a: &a [*a]", where="x.yaml")
        Traceback (most recent call last):
        kosum_pl.plain_yaml.OutOfBoundsError: x.yaml:1: an alias leads back to itself; write out what is meant
    """
    node = compose_plain(text, where=where)
    if node is None:
        return None
    for key, line in _repeated_keys(node):
        raise UsageError(f"{where}:{line}: key '{key}' stands twice in one mapping; the first would be lost")
    try:
        return yaml.SafeLoader("").construct_document(node)
    except yaml.YAMLError as error:
        raise not_yaml(error, where=where) from error
    except (ValueError, OverflowError) as error:  # a date that is none, a number of more digits than Python reads
        raise UsageError(f"{where}: not YAML: {one_line(str(error))}; write such a value in quotes") from error


def compose_plain(text: str, *, where: str) -> yaml.Node | None:
    """The node tree of a YAML text, within bounds; None where it is empty.

    Raises:
        UsageError: It is no YAML, or out of bounds.
    """
    if len(text) > MAX_CHARACTERS:
        raise OutOfBoundsError(
            f"{where}: {len(text):,} characters are more than the {MAX_CHARACTERS:,} of a YAML file here"
        )
    try:
        node = _Composer(text).get_single_node()
    except _TooDeep as error:
        mark = error.problem_mark
        line = mark.line + 1 if mark else 1
        raise OutOfBoundsError(f"{where}:{line}: nested more than {MAX_DEPTH} deep; write it flatter") from error
    except yaml.YAMLError as error:
        raise not_yaml(error, where=where) from error
    if node is not None:
        _Measure(where).check(node)
    return node


def not_yaml(error: yaml.YAMLError, *, where: str) -> UsageError:
    """What is wrong with a text that is no YAML, with line and column where they are known."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    position = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
    return UsageError(f"{position}: not YAML: {one_line(getattr(error, 'problem', None) or str(error))}")


class _TooDeep(yaml.MarkedYAMLError):
    """More levels than `MAX_DEPTH`."""


class _Composer(yaml.SafeLoader):
    """Composes nodes, and stops before Python's own stack would end."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node with what is in it."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _TooDeep(problem="too deep", problem_mark=self.get_mark())
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Measure:
    """Counts the values that a tree stands for once its aliases are written out, and its levels."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._measured: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def check(self, node: yaml.Node) -> tuple[int, int]:
        """Values and levels of a node; every node is visited once, and an alias leads only to an earlier one."""
        if id(node) in self._measured:
            return self._measured[id(node)]
        where = f"{self._where}:{node.start_mark.line + 1}"
        if id(node) in self._open:
            raise OutOfBoundsError(f"{where}: an alias leads back to itself; write out what is meant")
        self._open.add(id(node))
        inside = [self.check(child) for child in _children(node)]
        self._open.remove(id(node))
        size = 1 + sum(size for size, _ in inside)
        depth = 1 + max((depth for _, depth in inside), default=0)
        if size > MAX_VALUES:
            raise OutOfBoundsError(
                f"{where}: with its aliases written out it holds more than {MAX_VALUES:,} values; "
                "write out what is meant"
            )
        if depth > MAX_DEPTH:
            raise OutOfBoundsError(f"{where}: nested more than {MAX_DEPTH} deep; write it flatter")
        self._measured[id(node)] = size, depth
        return size, depth


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _repeated_keys(node: yaml.Node) -> Iterator[tuple[str, int]]:
    """Keys that stand twice in one mapping, with their line counted from 1; every node is visited once."""
    seen_nodes: set[int] = set()
    pending = [node]
    while pending:
        node = pending.pop()
        if id(node) in seen_nodes:
            continue
        seen_nodes.add(id(node))
        pending += reversed([*_children(node)])
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            if name and name in seen and name != "<<":
                yield name, key.start_mark.line + 1
            seen.add(name)
