"""`drift`: is what the model will meet like what it learns from?

In: a config and its overrides. Out: train against every other split in tables and plain words, topic clusters where
`data.topics` asks for them, and files where they are wanted. No weights are loaded.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kosum_pl.cli.arguments import Invocation, read_arguments
from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.errors import UsageError
from kosum_pl.files import write_atomically

if TYPE_CHECKING:
    from kosum_pl.drift.compare import Drift
    from kosum_pl.drift.report import DriftReport

HELP: Final = """usage: python -m kosum_pl drift --config NAME [options]

Compare train with val, test and the rows to be predicted, as far as the config names them: every profile column,
lengths, turns, speakers and wording. Says in plain words what chance does not explain. With data.topics also the topic
clusters of train, and how each split is spread over them. No weights are loaded.

options:
  --config NAME          a config, as for fit; several are laid over each other
  --data.predict_file FILE --data.topics.num_clusters 8 ...
                         any option of fit
  --json FILE            also write everything to a file
  --plot FILE            also draw it (.svg, .png or .pdf; needs matplotlib)
  --help                 this text"""
_PIPE_WIDTH: Final = 140
_PLOT_ENDINGS: Final = (".svg", ".png", ".pdf")


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status.

    Raises:
        ValueError: An option, the config or the data is wrong.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    json_value, rest = take_option(arguments, name="--json")
    plot_value, rest = take_option(rest, name="--plot")
    json_file = output_file(json_value, option="--json")
    plot_file = _plot_file(plot_value)
    report = drift_report(read_arguments(command, rest))
    _print(report)
    legend = {}
    if plot_file is not None:
        from kosum_pl.drift.plot import draw

        legend = draw(report.drifts, path=plot_file)
        print(f"written: {plot_file}")
    if json_file is not None:
        values = report.values() | {"plot_legend": legend}
        write_atomically(json_file, json.dumps(values, ensure_ascii=False, indent=2) + "\n")
        print(f"written: {json_file}")
    return 0


def drift_report(invocation: Invocation) -> DriftReport:
    """Read a config's splits and hold each against train.

    Args:
        invocation: From `read_arguments`.

    Raises:
        ValueError: The config or the data is wrong, or there is nothing to hold against train.
    """
    # Seconds of imports, after everything that can be checked without them.
    from kosum_pl.cli.parts import load_parts
    from kosum_pl.drift.compare import compare
    from kosum_pl.drift.report import DriftReport

    parts = load_parts(invocation)
    data = parts.datamodule
    notes = list(parts.module.notes)
    for stage in ("fit", "test", "predict"):
        if stage == "fit" or parts.config["data"].get(f"{stage}_file"):
            data.setup(stage)
            notes += data.report_lines
    splits = {name: list(table) for name, table in data.tables.items()}
    drifts: list[Drift] = []
    compared: dict[tuple[str, ...], str] = {}
    for name, rows in splits.items():
        texts = tuple(row.text for row in rows)
        if texts in compared:  # often test once more, as the rows to be predicted
            notes.append(f"{name}: the dialogues of {compared[texts]} once more, not compared again")
        compared.setdefault(texts, name)
        if compared[texts] == name and name != "train":
            tokens = data.encoded["train"].prompt_lengths.tolist(), data.encoded[name].prompt_lengths.tolist()
            drifts.append(compare(splits["train"], other=rows, name=name, prompt_tokens=tokens))
    if not drifts:
        raise UsageError("drift: train stands alone; set data.val_file, data.test_file or data.predict_file")
    return DriftReport(drifts=drifts, topics=data.topics, notes=notes)


def _plot_file(value: str | None) -> Path | None:
    path = output_file(value, option="--plot")
    if path is None:
        return None
    if path.suffix.lower() not in _PLOT_ENDINGS:
        raise UsageError(f"--plot {value}: unknown ending '{path.suffix}'; use {', '.join(_PLOT_ENDINGS)}")
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise UsageError("--plot needs matplotlib, which is not installed: pip install matplotlib")
    return path


def _print(report: DriftReport) -> None:
    from rich.console import Console

    report.print(Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH))
