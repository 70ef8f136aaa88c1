"""Finds callbacks: the shipped ones, the working folder's `callbacks/`, dotted modules and entry points.

In: nothing but where things lie. Out: imported modules, so that a config may name their callbacks by the bare class
name, and a `PluginFailure` for each that does not import. Nothing here is fatal: it becomes so when a config asks
for a callback that is not there.

The shipped package `callbacks` is loaded by its location, because under `python -m` a user's own `callbacks/` stands
first on the import path and would hide it. The user's folder becomes the first shelf of the same package: a file
named like a shipped one replaces it, and a line says so.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from kosum_pl.errors import one_line

ENTRY_POINT_GROUP: Final = "kosum_pl.callbacks"
_PACKAGE: Final = "callbacks"
_SHIPPED: Final = Path(__file__).resolve().parent.parent / _PACKAGE


@dataclass(frozen=True, kw_only=True)
class PluginFailure:
    """A plug-in that does not import.

    Attributes:
        source: Where it comes from: a file, a module or an entry point.
        reason: The exception, in one line.
        names: Class and module names that a config could ask for.
    """

    source: str
    reason: str
    names: tuple[str, ...]

    def line(self) -> str:
        """What the user reads."""
        return f"plug-in {self.source} does not load: {self.reason}"

    def is_asked_for(self, text: str) -> bool:
        """Whether a text, such as the parser's complaint, names something of this plug-in.

        Example:
            >>> PluginFailure(source="callbacks/a.py", reason="…", names=("Mine",)).is_asked_for("no class 'Mine'")
            True
        """
        return any(re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) for name in self.names)


@dataclass(frozen=True, kw_only=True)
class LoadedPlugins:
    """What was found.

    Attributes:
        modules: Names of the modules that were imported.
        replaced: Shipped files that a file of the working folder stands in for.
        failures: Plug-ins that do not import.
    """

    modules: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    failures: tuple[PluginFailure, ...] = field(default=())

    def lines(self) -> list[str]:
        """One line for everything a user should know before the config is parsed."""
        replaced = [f"{name} of the working folder is used instead of the shipped one" for name in self.replaced]
        return [*replaced, *(failure.line() for failure in self.failures)]


def load_plugins(modules: Sequence[str] = (), *, working_dir: Path | None = None) -> LoadedPlugins:
    """Import every callback there is.

    Args:
        modules: Dotted modules that the config lists under `plugins`.
        working_dir: Folder whose `callbacks/` is searched; None for the current one.
    """
    working_dir = working_dir or Path.cwd()
    user_folder = working_dir / _PACKAGE
    shelves = [_SHIPPED]
    if user_folder.is_dir() and user_folder.resolve() != _SHIPPED:
        shelves.insert(0, user_folder)
    _open_package(shelves)
    # The console script has no working folder on its path, `python -m` has: dotted names shall mean the same.
    if str(working_dir) not in sys.path and "" not in sys.path:
        sys.path.append(str(working_dir))
    loaded: list[str] = []
    failures: list[PluginFailure] = []
    for name, path in _files_of(shelves):
        failure = _import_file(name, path)
        _sort(failure, name, loaded, failures)
    for name in modules:
        _sort(_import_module(name), name, loaded, failures)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        _sort(_import_entry_point(point), point.value, loaded, failures)
    return LoadedPlugins(modules=tuple(loaded), replaced=_replaced(shelves), failures=tuple(failures))


def _open_package(shelves: Sequence[Path]) -> ModuleType:
    """The package `callbacks`, from the shipped folder wherever another one stands on the import path."""
    package = sys.modules.get(_PACKAGE)
    if package is None or not _is_shipped(package):
        init = _SHIPPED / "__init__.py"
        spec = importlib.util.spec_from_file_location(_PACKAGE, init, submodule_search_locations=[str(_SHIPPED)])
        if spec is None or spec.loader is None or not init.is_file():
            raise ValueError(f"the shipped callbacks are missing: {init} is no file; install kosum_pl again")
        for name in [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
            del sys.modules[name]
        package = importlib.util.module_from_spec(spec)
        sys.modules[_PACKAGE] = package
        spec.loader.exec_module(package)
    package.__path__ = [str(shelf) for shelf in shelves]
    return package


def _is_shipped(package: ModuleType) -> bool:
    return package.__file__ is not None and Path(package.__file__).resolve().parent == _SHIPPED


def _files_of(shelves: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """(module name, file) of every plug-in file; of files of one name the first shelf's."""
    seen = set()
    for shelf in shelves:
        for path in sorted(shelf.glob("*.py")):
            if not path.stem.startswith("_") and path.stem.isidentifier() and path.stem not in seen:
                seen.add(path.stem)
                yield f"{_PACKAGE}.{path.stem}", path


def _replaced(shelves: Sequence[Path]) -> tuple[str, ...]:
    if len(shelves) == 1:
        return ()
    user, shipped = ({path.name for path in shelf.glob("*.py")} for shelf in shelves)
    return tuple(f"{_PACKAGE}/{name}" for name in sorted(user & shipped) if not name.startswith("_"))


def _import_file(name: str, path: Path) -> PluginFailure | None:
    shown = f"{_PACKAGE}/{path.name}"
    return _import(name, source=shown, names=(name, *_class_names(path)))


def _import_module(name: str) -> PluginFailure | None:
    return _import(name, source=name, names=(name, name.rpartition(".")[2]))


def _import_entry_point(point: EntryPoint) -> PluginFailure | None:
    names = (point.module, *([point.attr.rpartition(".")[2]] if point.attr else []))
    source = f"{point.value} (entry point '{point.name}'{_distribution(point)})"
    try:
        point.load()
    except (Exception, SystemExit) as error:
        return PluginFailure(source=source, reason=_reason(error), names=names)
    return None


def _import(name: str, *, source: str, names: tuple[str, ...]) -> PluginFailure | None:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a user's file does when it is run
        return PluginFailure(source=source, reason=_reason(error), names=names)
    return None


def _sort(failure: PluginFailure | None, name: str, loaded: list[str], failures: list[PluginFailure]) -> None:
    if failure is None:
        loaded.append(name)
    else:
        failures.append(failure)


def _reason(error: BaseException) -> str:
    """The exception in one line, with the line of the plug-in that it came through."""
    return f"{type(error).__name__}: {one_line(str(error)) or 'no message'}"


def _distribution(point: EntryPoint) -> str:
    return f" of {point.dist.name}" if point.dist is not None else ""


def _class_names(path: Path) -> tuple[str, ...]:
    """Names of the classes a file defines, also where it is no valid Python."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return tuple(node.name for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    except (SyntaxError, ValueError):
        return tuple(re.findall(r"^class\s+(\w+)", text, flags=re.MULTILINE))
