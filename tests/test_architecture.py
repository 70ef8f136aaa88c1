"""Holds the order of the rooms: a room imports only from rooms above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "kosum_pl"

# Top to bottom, as data flows. Files of one line are one room; a new file has to be given its place here.
ROOMS: list[tuple[str, ...]] = [
    ("__init__", "lookup", "types", "errors", "folders", "run", "init_from", "environment"),
    ("data",),
    ("encode",),
    ("decode",),
    ("metrics",),
    ("signals",),
    ("modules",),
    ("datamodule",),
    ("demo",),
    ("report",),
    ("prediction_files", "validation_history", "slice_report", "run_report", "trainer_view", "reproduce", "recorder"),
    ("start_weights",),
    ("plugins",),
    ("cli_arguments", "parser_errors", "quiet", "loggers", "cli"),
    ("commands",),
    ("__main__",),
]
PLACE = {name: place for place, names in enumerate(ROOMS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py"))
# Whatever answers before seconds of imports have passed.
LIGHT = ("__init__", "lookup", "types", "errors", "folders", "run", "init_from", "cli_arguments", "__main__")
LIGHT_IMPORTS = {"yaml", "kosum_pl"}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path, *, top_level_only: bool = False) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it or only when it is imported itself."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_room_imports_only_from_rooms_above_it(path: Path) -> None:
    room = room_of(path)
    assert room in PLACE, f"{name(path)} has no place in ROOMS yet"
    for imported in imports_of(path):
        parts = imported.split(".")
        if parts[0] != "kosum_pl" or len(parts) < 2:
            continue
        other = parts[1] if parts[1] in PLACE else "__init__"  # `from kosum_pl import __version__`
        assert PLACE[other] <= PLACE[room], f"{name(path)} imports {imported}, which stands below {room}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_package_never_imports_callbacks(path: Path) -> None:
    assert not [imported for imported in imports_of(path) if imported.split(".")[0] == "callbacks"]


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) == "data"], ids=name)
def test_data_knows_no_model(path: Path) -> None:
    forbidden = ("transformers", "torch.nn", "lightning")
    assert not [imported for imported in imports_of(path) if imported.startswith(forbidden)]
    names = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not [used for used in names if used.startswith("torch.nn")]


@pytest.mark.parametrize("room", LIGHT)
def test_what_must_answer_at_once_imports_nothing_heavy(room: str) -> None:
    import sys

    third_party = {
        imported.split(".")[0]
        for imported in imports_of(PACKAGE / f"{room}.py", top_level_only=True)
        if imported.split(".")[0] not in sys.stdlib_module_names
    }
    assert third_party <= LIGHT_IMPORTS


@pytest.mark.parametrize("path", sorted((REPOSITORY / "callbacks").glob("*.py")), ids=name)
def test_callbacks_need_nothing_of_the_command_line(path: Path) -> None:
    below = {name for names in ROOMS[PLACE["plugins"] :] for name in names}
    used = {imported.split(".")[1] for imported in imports_of(path) if imported.startswith("kosum_pl.")}
    assert not used & below


@pytest.mark.parametrize("path", [*FILES, *sorted((REPOSITORY / "callbacks").glob("*.py"))], ids=name)
def test_every_file_says_what_it_is_for_and_no_function_is_over_sixty_lines(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name(path)} has no module docstring"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= 60, f"{name(path)}:{node.lineno}: {node.name} has {length} lines"
