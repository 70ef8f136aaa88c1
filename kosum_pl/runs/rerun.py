"""Compares versions and files with those of a run, then runs its config again; `reproduce.sh` carries a copy of this.

In: a Python, a run directory with its `run.json`, and `--check` or `--install`. Out: the run's command in place of this
process, or a message and exit status 1. Only the standard library is imported: nothing else is known to be there.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

KINDS = {"data": "data files", "presets": "presets or template", "weights": "weights to start from"}
NEEDED = (
    *("working_dir", "command", "arguments", "requirement", "not_compared", "hashes"),
    *("runs_dir", "config_name", "checkpoint", "version", "versions"),
)
DEMO = "demo:"
# Of the command line alone; whatever else was given stands in the config.
FLAGS = ("--safe_csv", "--no_text", "--no_plugins")


def main(python: str, run_dir: str, option: str = "") -> int:
    """Compare, then run; return the exit status where nothing is run.

    The option is `--check` to compare only, or `--install` to install the versions of the run first.
    """
    record = read_record(Path(run_dir, "run.json"))
    if record is None:
        return 1
    try:
        os.chdir(record["working_dir"])  # relative names in the config start here
    except OSError as error:
        say(f"reproduce.sh: {record['working_dir']}: {error.strerror}", file=sys.stderr)
        return 1
    say("started as: " + shlex.join(["python", "-m", "kosum_pl", record["command"], *record["arguments"]]))
    if option == "--install":
        pins = str(Path(run_dir, "constraints.txt"))
        subprocess.run([python, "-m", "pip", "install", "--constraint", pins, record["requirement"]], check=True)
    if not has_versions(record) and os.environ.get("KOSUM_ANY_VERSION") != "1":
        return 1
    for name in record["not_compared"]:
        say(f"{name} comes from a hub and is not compared")
    if not has_files(record["hashes"]):
        return 1
    if option == "--check":
        return 0
    options = ["--runs_dir", runs_dir_of(record, run_dir), "--run_name", record["config_name"]]
    if record["checkpoint"] is not None and record["command"] != "fit":  # a resumed fit is run from its start
        options += ["--ckpt_path", os.path.normpath(Path(run_dir, record["checkpoint"]))]
    options += [word for word in FLAGS if word in record["arguments"]]
    config = str(Path(run_dir, "config.yaml"))
    sys.stdout.flush()
    os.execvp(python, [python, "-m", "kosum_pl", record["command"], "--config", config, *options])


def read_record(path: Path) -> Any:
    """The record; None where it cannot be read, which is said."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in NEEDED if name not in record]
    except (OSError, ValueError, TypeError) as error:
        say(f"reproduce.sh: {path} cannot be read ({error}); copy the run once more", file=sys.stderr)
        return None
    if missing or not isinstance(record, dict):
        say(f"reproduce.sh: {path} lacks {', '.join(missing)}; copy the run once more", file=sys.stderr)
        return None
    return record


def runs_dir_of(record: Mapping[str, Any], run_dir: str) -> str:
    """Folder that the new run goes into: the run's own `runs`, wherever it lies, or beside a run that was taken out."""
    folder = Path(os.path.normpath(Path(run_dir, record["runs_dir"])))
    is_inside = Path(run_dir).is_relative_to(folder / record["config_name"])
    return str(folder) if is_inside or Path(record["runs_dir"]).is_absolute() else str(Path(run_dir).parent)


def has_versions(record: Mapping[str, Any]) -> bool:
    """Whether everything is installed in the version of the run; says what is not."""
    is_same = True
    for name, wanted in {"kosum-pl": record["version"], **record["versions"]}.items():
        try:
            found = version(name).partition("+")[0]
        except PackageNotFoundError:
            found = "not installed"
        if found != wanted:
            is_same = False
            say(f"reproduce.sh: {name} is {found}, and was {wanted}; use --install", file=sys.stderr)
    return is_same


def has_files(hashes: Mapping[str, Mapping[str, str | None]]) -> bool:
    """Whether all files are what they were; says which are not."""
    for kind, files in hashes.items():
        changed = [name for name, digest in files.items() if digest_of(name) != digest]
        if changed:
            what = "data files of the embedded demo" if changed[0].startswith(DEMO) else KINDS[kind]
            say(f"reproduce.sh: {what} differ from those of the run: {', '.join(changed)}", file=sys.stderr)
            return False
    return True


def say(line: str, *, file: TextIO | None = None) -> None:
    """Print names out of a file that somebody may have sent: a terminal shows them, and obeys none.

    Line ends and tabs stay, as a command shall be copied.
    """
    shown = (char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in line)
    print("".join(shown), file=file, flush=True)


def digest_of(name: str) -> str | None:
    """SHA-256 of a file, in hex; None where it cannot be read."""
    if name.startswith(DEMO):
        from kosum_pl.lookup import resolve_path  # the package may lie elsewhere than it did

        name = resolve_path(name)
    try:
        with open(name, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
