"""`drift`: is what the model will meet like what it learns from?

In: a config and its overrides. Out: train against every other split in tables and plain words, topic clusters where
`data.topics` asks for them, and files where they are wanted. No weights are loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosum_pl.cli.arguments import Invocation, Options, find_invocation
from kosum_pl.commands.output import show, write_values
from kosum_pl.errors import UsageError
from kosum_pl.terminal import say

if TYPE_CHECKING:
    from kosum_pl.drift.compare import Drift
    from kosum_pl.drift.report import DriftReport


def run(options: Options) -> int:
    """Run the command."""
    report = drift_report(find_invocation(options))
    show(report)
    legend = {}
    if options.plot is not None:
        from kosum_pl.drift.plot import draw

        legend = draw(report.drifts, path=options.plot)
        say(f"written: {options.plot}")
    write_values(report.values() | {"plot_legend": legend}, options.json)
    return 0


def drift_report(invocation: Invocation) -> DriftReport:
    """Read a config's splits and compare each with train."""
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
            notes += [line for line in data.report_lines if line not in notes]  # measured limits are said each time
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
