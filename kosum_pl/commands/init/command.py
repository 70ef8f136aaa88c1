"""`init`: a working folder to start from, in which every command runs.

In: a folder's name, and which shipped config to begin with. Out: a config to fill in, a preset, a callback that works,
a data stub and a README, all of one's own. Nothing heavy is imported, nothing is overwritten.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kosum_pl.cli.arguments import Options
from kosum_pl.commands.init.files import CALLBACK, CALLBACK_NAME, DATA, PRESET, README
from kosum_pl.errors import UsageError
from kosum_pl.files import write_atomically
from kosum_pl.lookup import find_shipped_config
from kosum_pl.terminal import say

CONFIG_NAME: Final = "summarizer"
PRESET_NAME: Final = "mine"
_FIT: Final = f"python -m kosum_pl fit --config {CONFIG_NAME}"
_COLUMNS: Final = """\
  columns:  # as your files name them
    example_id: fname
    dialogue: dialogue
    summary: summary  # several references: [summary1, summary2]
"""


def run(options: Options) -> int:
    """Run the command."""
    if len(options.folders) != 1:
        raise UsageError("init takes one folder: python -m kosum_pl init DIR [--config NAME]")
    folder: Path = options.folders[0]
    files = working_files(options.config)
    try:
        _check_empty(folder)
        for name, text in files.items():
            write_atomically(folder / name, text)
            say(folder / name)
    except OSError as error:
        raise UsageError(f"{folder} cannot be laid out: {error}; give another folder") from error
    say(f"next: cd {shlex.quote(str(folder))}, put your rows into data/, and run {_FIT}")
    return 0


def working_files(base: str) -> Mapping[str, str]:
    """Texts of a working folder by relative name.

    Raises:
        ValueError: There is no such config.
    """
    path = find_shipped_config(base)
    return {
        f"configs/{CONFIG_NAME}.yaml": _config(path.read_text(encoding="utf-8"), base=path.stem),
        f"configs/presets/{PRESET_NAME}.yaml": PRESET,
        "callbacks/show_summary.py": CALLBACK,
        **{f"data/{name}.csv": text for name, text in DATA.items()},
        "README.md": README.format(config=CONFIG_NAME, preset=PRESET_NAME, base=path.stem, callback=CALLBACK_NAME),
    }


def _check_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; give a new folder")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if names:
        raise UsageError(f"{folder} is not empty (it has {', '.join(names[:3])}); give a new folder")


def _config(text: str, *, base: str) -> str:
    """A shipped config as one's own: its data, preset and callback are those of the working folder."""
    header = (
        f"# python -m kosum_pl fit --config {CONFIG_NAME}.yaml\n"
        "# Yours to fill in: model_name, the files and column names under data, and what your rows ask for.\n"
        f"# It began as the shipped {base}.yaml:\n"
    )
    changes = (
        (r"\A# python -m kosum_pl .*\n", header),
        (r"(?m)^model:\n", f"    - class_path: {CALLBACK_NAME}  # callbacks/show_summary.py\nmodel:\n"),
        (r"(?m)^    presets: .*", f"    presets: [{PRESET_NAME}]  # configs/presets/{PRESET_NAME}.yaml"),
        (r"(?m)^data:\n", f"data:\n{_COLUMNS}"),
        (r"(?m)^  train_file: .*", "  train_file: data/train.csv  # CSV, TSV, JSON(L), Parquet, a folder or a hub id"),
        (r"(?m)^  val_file: .*", "  val_file: data/dev.csv"),
        (r"(?m)^  test_file: .*", "  test_file: null  # a file with summaries, to score with `test`"),
        (r"(?m)^  predict_file: .*", "  predict_file: data/test.csv"),
    )
    for pattern, replacement in changes:
        text, number = re.subn(pattern, lambda _, new=replacement: new, text)  # type: ignore[misc]
        assert number == 1, f"{base}.yaml: {pattern} stands there {number} times"
    return text
