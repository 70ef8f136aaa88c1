"""Finds callbacks: the shipped ones, the working folder's `callbacks/`, dotted modules and entry points.

In: nothing but where things lie. Out: imported modules, so that a config may name their callbacks by the bare class
name, and a `PluginFailure` for each that does not import. Nothing here is fatal: it becomes so when a config asks
for a callback that is not there.

The shipped callbacks are `kosum_pl.callbacks`. A file of the working folder's `callbacks/` is `callbacks.NAME`; one
that is named like a shipped file replaces it, and a line says so. Configs written before the shipped ones moved into
`kosum_pl` name them `callbacks.NAME` too, and get the same classes.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Final

from kosum_pl.errors import one_line
from kosum_pl.extensions import open_plugin_modules

ENTRY_POINT_GROUP: Final = "kosum_pl.callbacks"
_SHIPPED: Final = "kosum_pl.callbacks"
_FOLDER: Final = "callbacks"


@dataclass(frozen=True, kw_only=True)
class PluginFailure:
    """A plug-in that does not import.

    Attributes:
        source: Where it comes from: a file, a module or an entry point.
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
        replaced: Shipped files that a file of the working folder stands in for.
        imported: Where code that is not ours came from: files, modules, entry points.
    """

    modules: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    imported: tuple[str, ...] = ()
    failures: tuple[PluginFailure, ...] = field(default=())

    def news(self) -> list[str]:
        """One line with everything that was imported, and so was run; none where that is nothing."""
        shown = ", ".join(self.imported)
        return [f"plug-ins imported: {shown} (--no_plugins leaves them out)"] if shown else []

    def lines(self) -> list[str]:
        """One line for everything a user should know before the config is parsed."""
        replaced = [f"{name} of the working folder is used instead of the shipped one" for name in self.replaced]
        return [*replaced, *(failure.line() for failure in self.failures)]


def load_plugins(
    modules: Sequence[str] = (), *, working_dir: Path | None = None, is_off: bool = False
) -> LoadedPlugins:
    """Import the callbacks of a folder's `callbacks/`, by default the current one's, and the config's `plugins`.

    Where plug-ins are off, nothing but the shipped ones is imported, and each other one is a failure that says so.
    """
    working_dir = working_dir or Path.cwd()
    user_folder, shipped_folder = working_dir / _FOLDER, _shipped_folder()
    users = {} if user_folder.resolve() == shipped_folder else _files_of(user_folder)
    shipped = _files_of(shipped_folder)
    if is_off:
        return _without_plugins(users, modules, shipped=shipped)
    # The console script has no working folder on its path, `python -m` has: dotted names shall mean the same.
    if str(working_dir) not in sys.path and "" not in sys.path:
        sys.path.append(str(working_dir))
    loaded: list[str] = []
    failures: list[PluginFailure] = []
    for name in shipped.keys() - users.keys():
        importlib.import_module(f"{_SHIPPED}.{name}")
    _open_package(user_folder, shipped.keys() - users.keys())
    loaded += [f"{_SHIPPED}.{name}" for name in shipped if name not in users]
    imported: list[str] = []
    for name, path in users.items():
        if _sort(_import_file(f"{_FOLDER}.{name}", path), f"{_FOLDER}.{name}", loaded, failures):
            imported.append(f"{_FOLDER}/{path.name}")
    for name in modules:
        if _sort(_import_module(name), name, loaded, failures):
            imported.append(name)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if _sort(_import_entry_point(point), point.value, loaded, failures):
            imported.append(f"{point.value}{_distribution(point)}")
    ours = {f"{_SHIPPED}.{name}" for name in shipped}
    open_plugin_modules(sys.modules[name] for name in loaded if name in sys.modules and name not in ours)
    replaced = tuple(f"{_FOLDER}/{name}.py" for name in sorted(users.keys() & shipped.keys()))
    return LoadedPlugins(modules=tuple(loaded), replaced=replaced, imported=tuple(imported), failures=tuple(failures))


def _without_plugins(users: Mapping[str, Path], modules: Sequence[str], *, shipped: Iterable[str]) -> LoadedPlugins:
    """The shipped callbacks alone; of every other one its names, so that a config which asks for it gets the reason."""
    for name in shipped:
        importlib.import_module(f"{_SHIPPED}.{name}")
    _open_package(None, shipped)
    open_plugin_modules(())
    left_out = [(f"{_FOLDER}/{path.name}", (f"{_FOLDER}.{name}", *_class_names(path))) for name, path in users.items()]
    left_out += [(name, (name, name.rpartition(".")[2])) for name in modules]
    left_out += [(point.value, (point.module, point.attr)) for point in entry_points(group=ENTRY_POINT_GROUP)]
    failures = (
        PluginFailure(source=source, reason="--no_plugins leaves it out", names=tuple(filter(None, names)))
        for source, names in left_out
    )
    return LoadedPlugins(modules=tuple(f"{_SHIPPED}.{name}" for name in shipped), failures=tuple(failures))


def _shipped_folder() -> Path:
    return Path(importlib.import_module(_SHIPPED).__path__[0]).resolve()


def _open_package(user_folder: Path | None, aliases: Iterable[str]) -> None:
    """Make `callbacks` the user's folder, where old names of shipped callbacks give the very same modules.

    Without a folder there is nothing else in it.
    """
    for name in [name for name in sys.modules if name == _FOLDER or name.startswith(f"{_FOLDER}.")]:
        del sys.modules[name]
    package = ModuleType(_FOLDER, f"The callbacks of {user_folder or 'kosum_pl'}.")
    package.__path__ = [str(user_folder)] if user_folder else []
    sys.modules[_FOLDER] = package
    for name in aliases:
        module = sys.modules[f"{_SHIPPED}.{name}"]
        sys.modules[f"{_FOLDER}.{name}"] = module
        setattr(package, name, module)


def _files_of(folder: Path) -> dict[str, Path]:
    """Plug-in files of a folder by module name; a name with an underscore in front is private."""
    paths = sorted(folder.glob("*.py"))
    return {path.stem: path for path in paths if not path.stem.startswith("_") and path.stem.isidentifier()}


def _import_file(name: str, path: Path) -> PluginFailure | None:
    shown = f"{_FOLDER}/{path.name}"
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


def _sort(failure: PluginFailure | None, name: str, loaded: list[str], failures: list[PluginFailure]) -> bool:
    """Note a plug-in among the loaded ones or the failures; whether it is loaded."""
    if failure is None:
        loaded.append(name)
    else:
        failures.append(failure)
    return failure is None


def _reason(error: BaseException) -> str:
    """The exception in one line, with the line of the plug-in that it came through."""
    return f"{type(error).__name__}: {one_line(str(error)) or 'no message'}"


def _distribution(point: EntryPoint) -> str:
    return f" of {point.dist.name}" if point.dist is not None else ""


def _class_names(path: Path) -> tuple[str, ...]:
    """Names of the classes a file defines, also where it is no valid Python."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        return tuple(node.name for node in ast.parse(text).body if isinstance(node, (ast.ClassDef, ast.FunctionDef)))
    except (SyntaxError, ValueError):
        return tuple(re.findall(r"^class\s+(\w+)", text, flags=re.MULTILINE))
