"""Holds the order of the rooms: a room imports only from rooms above it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "kosum_pl"
CALLBACKS = REPOSITORY / "callbacks"

# Top to bottom, as data flows. Rooms of one line may know each other in neither direction.
ROOMS: list[tuple[str, ...]] = [
    ("__init__", "errors", "signals", "terminal"),
    ("extensions", "lookup", "plain_yaml", "types"),
    ("files", "locks"),
    ("cache",),
    ("data",),
    ("encode",),
    ("decode", "drift"),
    ("metrics",),
    ("runs",),
    ("models",),
    ("checkpoints",),
    ("modules",),
    ("datamodule", "inference", "report"),
    ("export",),
    ("callbacks", "cli", "demo"),
    ("commands",),
    ("__main__",),
]
PLACE = {name: place for place, names in enumerate(ROOMS) for name in names}
MODULES = sorted([*PACKAGE.rglob("*.py"), *CALLBACKS.rglob("*.py")])
# Whatever answers before seconds of imports have passed.
LIGHT = (
    "__init__",
    "__main__",
    "cache",
    "checkpoints/__init__",
    "checkpoints/lineage",
    "cli/__init__",
    "cli/arguments",
    "cli/option_types",
    "cli/option_bounds",
    "cli/options",
    "cli/run",
    "errors",
    "files",
    "locks",
    "lookup",
    "plain_yaml",
    "runs/__init__",
    "runs/files",
    "runs/folders",
    "runs/lock",
    "runs/record",
    "runs/rerun",
    "runs/run",
    "terminal",
    "types",
)
LIGHT_IMPORTS = {"yaml", "kosum_pl"}
MAX_MODULES_OF_A_FOLDER = 25


def room_of(path: Path) -> str:
    return "callbacks" if path.is_relative_to(CALLBACKS) else path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it or only when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # Python knows callbacks/ by another name than a type checker does: inside it, imports are relative.
            assert (node.level == 0) or room_of(path) == "callbacks", f"{path}:{node.lineno}: relative import"
            if node.level == 0:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_used_by(path: Path) -> set[str]:
    used = set()
    for imported in imports_of(path):
        parts = imported.split(".")
        if parts[0] == "kosum_pl" and len(parts) > 1:
            used.add(parts[1] if parts[1] in PLACE else "__init__")  # `from kosum_pl import __version__`
    return used - {room_of(path)}


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_room_imports_only_from_rooms_above_it(path: Path) -> None:
    room = room_of(path)
    assert room in PLACE, f"{name(path)} has no place in ROOMS yet"
    below = [used for used in rooms_used_by(path) if PLACE[used] >= PLACE[room]]
    assert not below, f"{name(path)} imports {below}, which do not stand above {room}"


def module_name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(("kosum_pl", *parts) if parts[0] == "callbacks" else parts).removesuffix(".__init__")


def modules_used_by(path: Path, known: Collection[str]) -> set[str]:
    """Modules of ours that a file imports, in functions and for type checkers too."""
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    used = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            used |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names}
        elif isinstance(node, ast.Import):
            used |= {alias.name for alias in node.names}
    return (used & set(known)) - {module_name(path)}


def test_no_modules_import_each_other_in_a_circle() -> None:
    paths = {module_name(path): path for path in MODULES}
    try:
        tuple(TopologicalSorter({name: modules_used_by(path, paths) for name, path in paths.items()}).static_order())
    except CycleError as error:
        pytest.fail(f"import circle: {' <- '.join(error.args[1])}")


def test_a_command_imports_no_other_command() -> None:
    paths = {module_name(path): path for path in MODULES if room_of(path) == "commands"}
    folders = {name: name.split(".")[2] for name in paths if paths[name].parent.parent.name == "commands"}
    found = [
        f"{name} imports {used}"
        for name, folder in folders.items()
        for used in modules_used_by(paths[name], paths)
        if folders.get(used, folder) != folder
    ]
    assert not found


def test_a_folder_is_no_warehouse() -> None:
    sizes = Counter(path.parent for path in MODULES)
    assert {name(folder): size for folder, size in sizes.items() if size > MAX_MODULES_OF_A_FOLDER} == {}


@pytest.mark.parametrize("path", [path for path in MODULES if room_of(path) == "data"], ids=name)
def test_data_knows_no_model(path: Path) -> None:
    forbidden = ("transformers", "torch.nn", "lightning")
    assert not [imported for imported in imports_of(path) if imported.startswith(forbidden)]
    names = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not [used for used in names if used.startswith("torch.nn")]


@pytest.mark.parametrize("module", LIGHT)
def test_what_must_answer_at_once_imports_nothing_heavy(module: str) -> None:
    third_party = {
        imported.split(".")[0]
        for imported in imports_of(PACKAGE / f"{module}.py", top_level_only=True)
        if imported.split(".")[0] not in sys.stdlib_module_names
    }
    assert third_party <= LIGHT_IMPORTS


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_file_says_what_it_is_for_and_no_function_is_over_sixty_lines(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name(path)} has no module docstring"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= 60, f"{name(path)}:{node.lineno}: {node.name} has {length} lines"
