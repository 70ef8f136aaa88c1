"""Where named files are found: configs, presets and the embedded demo.

In: a name as the user wrote it. Out: a path, or a `ValueError` of one line that lists what exists. Only the
standard library is imported, so that a misspelt config name is answered at once.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_DEMO_PREFIX = "demo:"


def config_folders(kind: str = "", *, is_shipped: bool = False) -> list[Path]:
    """Folders searched for a config, first one wins: the working folder's, the clone's, the wheel's.

    Args:
        kind: A sub-folder, such as `presets`; empty for the configs themselves.
        is_shipped: Leave the working folder's out.
    """
    # A clone keeps configs/ beside the package; only there does pyproject.toml stand next to it.
    clone = [_PACKAGE.parent / "configs"] if (_PACKAGE.parent / "pyproject.toml").is_file() else []
    working = [] if is_shipped else [Path.cwd() / "configs"]
    folders = [*working, *clone, _PACKAGE / "configs"]
    existing = [folder / kind for folder in folders if (folder / kind).is_dir()]
    return list(dict.fromkeys(existing))


def list_configs(kind: str = "") -> list[str]:
    """Names of all configs of one kind, sorted, without their folder and ending."""
    return sorted({path.stem for folder in config_folders(kind) for path in folder.glob("*.yaml")})


def find_config(name: str, kind: str = "") -> Path:
    """Path of the config that `name` means: a path, else `demo` or `demo.yaml` in `config_folders`.

    Raises:
        ValueError: No such file; the message lists what exists.
    """
    given = Path(name).expanduser()
    if given.is_file():
        return given
    if given.parent == Path():
        file_name = name if given.suffix in (".yaml", ".yml") else f"{name}.yaml"
        for folder in config_folders(kind):
            if (folder / file_name).is_file():
                return folder / file_name
    noun = kind.rstrip("s") or "config"
    known = ", ".join(list_configs(kind)) or "none"
    if "://" in name:
        raise ValueError(f"{noun} '{name}' is a URL, and nothing is downloaded; give a file, or a name: {known}")
    raise ValueError(f"{noun} '{name}' is not a file and no {noun} has this name; known: {known}")


def find_shipped_config(name: str) -> Path:
    """Path of a config that comes with the package, whatever the working folder has; raises as `find_config`."""
    shipped = {path.stem: path for folder in config_folders(is_shipped=True) for path in folder.glob("*.yaml")}
    stem = name.removesuffix(".yaml")
    if stem not in shipped:
        raise ValueError(f"no config '{name}' is shipped; known: {', '.join(sorted(shipped))}")
    return shipped[stem]


def resolve_path(path: str) -> str:
    """`demo:NAME` as a path inside the embedded demo; anything else as it is, with `~` expanded.

    Example:
        >>> resolve_path("owner/model")
        'owner/model'
        >>> resolve_path("demo:train.csv").endswith("train.csv")
        True
    """
    if path.startswith(_DEMO_PREFIX):
        return str(_PACKAGE / "demo" / "files" / path.removeprefix(_DEMO_PREFIX))
    return str(Path(path).expanduser()) if path.startswith("~") else path
