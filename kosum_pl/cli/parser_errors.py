"""What is wrong with a config, in one line.

In: the parser's message, a tree of every alternative that was tried. Out: the key, what is wrong with it, and the
nearest thing that would be right.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from jsonargparse import ArgumentParser
from lightning.pytorch import Callback

from kosum_pl.cli.plugins import PluginFailure
from kosum_pl.errors import one_line

_MAX_VALUE: Final = 60
_UNKNOWN_KEY: Final = re.compile(r"(?:does not accept option '|unrecognized arguments: (?:--)?)([^\s'=]+)")
_REFUSED_OPTION: Final = re.compile(r"Option '([^']+)' is not accepted")
_KEY: Final = re.compile(r'Parser key "([^"]+)"')
_CLASS: Final = re.compile(r"Problem with given class_path '([^']+)':\s*\n\s*(\S.*)")
_BARE_CLASS: Final = re.compile(r"Expected a dot import path string: (\S+)")
_NO_SUBCLASS: Final = re.compile(r"Import path (?:(\S+) )?does not correspond to a subclass of (\w+)")
_REQUIRED: Final = re.compile(r"the following arguments are required: (.+)")
_EXPECTED: Final = re.compile(r"Expected (?:a |an )?(.+?)(?:\. Got value: .*)?$", flags=re.MULTILINE)
_VALUE: Final = re.compile(r"(?:Given|Got) value: (.+)")
_NESTED_VALUE: Final = re.compile(r"NestedArg\(key='[^']*', val='?(.*?)'?\)$")


def explain_parser_error(message: str, *, parser: ArgumentParser, failures: Sequence[PluginFailure] = ()) -> str:
    """The parser's complaint in one line; where the config asks for a plug-in that did not load, that is the reason."""
    for failure in failures:
        if failure.is_asked_for(message):
            return f"the config asks for it, but {failure.line()}"
    if found := _UNKNOWN_KEY.search(message):
        return _unknown_key(found[1], _known_keys(parser))
    key = ".".join(_KEY.findall(message))
    classes = _CLASS.findall(message)
    # A class that knows an option and refuses its value says more than its base, which does not know it.
    refused = _REFUSED_OPTION.search(message)
    wrong_values = {name for _, problem in classes for name in _KEY.findall(problem)}
    has_wrong_value = refused is not None and refused[1] in wrong_values
    if not has_wrong_value and (found := refused):
        owners = [path for path, problem in classes if _REFUSED_OPTION.search(problem)]
        known = {f"{key}.{name}" for owner in owners for name in _parameters(owner)}
        return _unknown_key(f"{key}.{found[1]}", known)
    if found := _BARE_CLASS.search(message):
        return _unknown_class(key, found[1])
    if found := _NO_SUBCLASS.search(message):
        return _wrong_class(key, found[1] or _given_value(message), kind=found[2])
    if found := _REQUIRED.search(message):
        owner = f" of {classes[0][0]}" if classes else ""
        return f"{key + ': ' if key else ''}{found[1]}{owner} must be given"
    for path, problem in classes if not has_wrong_value else ():
        if not _KEY.match(problem) and not problem.startswith("Does not validate"):
            return f"{key}: class {path} cannot be used: {problem}"
    return _wrong_value(message, key)


def explain_instantiation_error(message: str) -> str:
    """The reason inside the tree of alternatives that is left when a value of a union cannot be built."""
    found = re.findall(r"^( +)- (?!Expected|Does not validate|Not a valid subclass)(.+)$", message, flags=re.MULTILINE)
    # Deeper lines explain an alternative that was not meant, unless nothing but a tree stands above them.
    reasons = [reason for indent, reason in found if indent == min((indent for indent, _ in found), key=len)]
    own = [reason for reason in reasons if "unexpected keyword argument" not in reason]
    owner = "trainer.callbacks: " if "callbacks.callback.Callback" in message.partition("Errors:")[0] else ""
    return owner + one_line("; ".join(dict.fromkeys(own or reasons)) or message)


def _unknown_key(key: str, known: Iterable[str]) -> str:
    key = key.removeprefix("--")
    known = sorted(known)
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if not nearest:
        leaf = key.rpartition(".")[2]
        by_leaf = {name.rpartition(".")[2]: name for name in known}
        nearest = [by_leaf[name] for name in difflib.get_close_matches(leaf, by_leaf, n=1)]
    if nearest:
        return f"unknown key '{key}'; did you mean '{nearest[0]}'?"
    siblings = sorted({name for name in known if name.rpartition(".")[0] == key.rpartition(".")[0]})
    return f"unknown key '{key}'; known: {', '.join(siblings or known)}"


def _unknown_class(key: str, name: str) -> str:
    known = _known_classes(key)
    nearest = difflib.get_close_matches(name, known, n=1)
    others = " and those of lightning.pytorch.callbacks" if key.startswith("trainer.callbacks") else ""
    guess = f"did you mean '{nearest[0]}'?" if nearest else f"known: {', '.join(known)}{others}"
    return f"{key}: there is no class '{name}'; {guess}"


def _wrong_class(key: str, name: str, *, kind: str) -> str:
    if kind == "SummarizationModule":
        return f"{key} is {name}, which is no {kind}; known: {', '.join(_known_classes(key))}"
    return f"{key} is {name}, which is no {kind}; give a class of that kind"


def _wrong_value(message: str, key: str) -> str:
    # The last key's part is the innermost one; what stands before it says the same of the whole.
    innermost = message[message.rfind('Parser key "') :]
    values = _VALUE.findall(innermost)
    if not values:
        return one_line(message)
    if "Got value:" in innermost:  # the rest of the tree is about what holds the key, not about the key
        innermost = next(line for line in innermost.splitlines() if "Got value:" in line)
    if "Not a valid subclass" in innermost:
        return f"{key} is {values[-1]}; expected a class, one of {', '.join(_known_classes(key))}"
    value = _given_value(innermost)
    kinds = list(dict.fromkeys(_readable(kind) for kind in _EXPECTED.findall(innermost) if "import path" not in kind))
    return f"{key} is {value}; expected {' or '.join(kinds) or 'something else'}"


def _given_value(message: str) -> str:
    values = _VALUE.findall(message)
    value = _NESTED_VALUE.sub(r"\1", values[0]) if values else "something else"
    return value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]}…"


def _readable(kind: str) -> str:
    """A type as a user would say it.

    Example:
        >>> _readable("<class 'int'>"), _readable("<class 'NoneType'>"), _readable("typing.Literal['a', 'b']")
        ('int', 'null', 'a, b')
    """
    if found := re.fullmatch(r"<class '(.+)'>", kind):
        return {"NoneType": "null", "str": "text"}.get(found[1], found[1].rpartition(".")[2])
    if found := re.fullmatch(r"typing\.Literal\[(.+)\]", kind):
        return found[1].replace("'", "")
    return kind


def _known_keys(parser: ArgumentParser) -> set[str]:
    return {str(action.dest) for action in parser._actions if "help" not in str(action.dest)}


def _parameters(class_path: str) -> list[str]:
    module, _, name = class_path.rpartition(".")
    try:
        owner: Any = getattr(importlib.import_module(module), name)
        return [name for name in inspect.signature(owner).parameters if name != "self"]
    except (ImportError, AttributeError, ValueError):
        return []


def _known_classes(key: str) -> list[str]:
    """Bare names that a config may give here; of callbacks those beside Lightning's own."""
    if key.startswith("trainer.callbacks"):
        kinds = {kind for kind in _subclasses(Callback) if not _is_internal(kind.__module__)}
    else:
        from kosum_pl.modules import SummarizationModule

        kinds = _subclasses(SummarizationModule)
    return sorted(kind.__name__ for kind in kinds if not inspect.isabstract(kind))


def _is_internal(module: str) -> bool:
    return module.startswith(("lightning.", "kosum_pl.")) and not module.startswith("kosum_pl.callbacks.")


def _subclasses(base: type) -> set[type]:
    direct: set[type] = set(base.__subclasses__())
    return direct.union(*(_subclasses(kind) for kind in direct))
