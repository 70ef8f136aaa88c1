"""Parts that a user brings: cleaning and post-processing steps, metrics, readers, charsets, each found by its name.

In: a name as a config writes it. Out: the function, class or value that it means. A name is one of the shipped ones, a
dotted path (`my_package.steps.drop_urls`), the short name of something in a plug-in module (a file of `./callbacks`, or
a module of the YAML's `plugins:`), or an entry point of the group `kosum_pl.<kind>`. Nothing heavy is imported.

What each kind must be:

| kind | named in | what it is |
| --- | --- | --- |
| `cleaning_steps` | `data.cleaning` | `step(text: str) -> str` |
| `readers` | `format:` of a file in `data.train_file` and its siblings | `read(path: Path)`: mappings by column name |
| `charsets` | `model.constraint.charset` | a string of characters, or pairs of first and last code point |
| `postprocess_steps` | `model.postprocess` | `step(text: str, row) -> str`; a row has `dialogue` and `is_finished` |
| `metrics` | `model.metrics` | a `kosum_pl.metrics.RowMetric`, or a class of one without arguments |
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, Final, Literal

Kind = Literal["cleaning_steps", "readers", "charsets", "postprocess_steps", "metrics"]

_NOUN: Final = {
    "cleaning_steps": "step",
    "postprocess_steps": "step",
    "readers": "reader",
    "charsets": "charset",
    "metrics": "metric",
}
_modules: Final[list[ModuleType]] = []


class UnknownExtensionError(ValueError):
    """Nothing has the name."""


def open_plugin_modules(modules: Iterable[ModuleType]) -> None:
    """Let what these modules define be named by its short name, in place of what was opened before.

    Args:
        modules: Plug-in modules, imported.
    """
    _modules[:] = modules


def find_extension(kind: Kind, name: str, *, shipped: Mapping[str, Any], argument: str) -> Any:
    """What a name in a config means.

    Args:
        kind: Of what the name is one.
        name: As the config writes it.
        shipped: What comes with the package, by name; it wins over a plug-in's.
        argument: Where the config says it, for the message.

    Raises:
        UnknownExtensionError: Nothing has this name.
        ValueError: Two plug-ins have it, or a dotted path does not import.
    """
    if name in shipped:
        return shipped[name]
    if "." in name:
        return _dotted(name, argument)
    found = {f"{module.__name__}.{name}": getattr(module, name) for module in _modules if _defines(module, name)}
    for point in entry_points(group=f"kosum_pl.{kind}", name=name):
        found[point.value] = point.load()
    if len(found) > 1:
        raise ValueError(f"{argument}: '{name}' is in {' and '.join(found)}; write the dotted path of one")
    if not found:
        known = ", ".join(shipped) or "none"
        raise UnknownExtensionError(
            f"{argument}: unknown {_NOUN[kind]} '{name}'; known: {known}; one of your own goes into "
            "./callbacks or a module under plugins, or is named by its dotted path"
        )
    return next(iter(found.values()))


def _defines(module: ModuleType, name: str) -> bool:
    """Whether a plug-in has this name of its own, not by importing it from elsewhere."""
    value = vars(module).get(name)
    return value is not None and getattr(value, "__module__", module.__name__) == module.__name__


def _dotted(name: str, argument: str) -> Any:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{argument}: '{name}' cannot be imported: {error}") from None
