"""`charset`: what a constraint allows and what of the references it would forbid, before a run is spent on it.

In: a config and its overrides. Out: tables on the terminal, and a JSON file where one is wanted. No weights are loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kosum_pl.cli.arguments import Invocation, Options, find_invocation
from kosum_pl.commands.output import show, write_values

if TYPE_CHECKING:
    from kosum_pl.commands.charset.report import CharsetReport


def run(options: Options) -> int:
    """Run the command."""
    report = charset_report(find_invocation(options))
    show(report)
    write_values(report.values(), options.json)
    return 0


def charset_report(invocation: Invocation) -> CharsetReport:
    """Read a config's references and compare them with its constraint."""
    # Seconds of imports, after everything that can be checked without them.
    from kosum_pl.cli.parts import load_parts
    from kosum_pl.commands.charset.report import CharsetReport
    from kosum_pl.decode import ConstraintSettings
    from kosum_pl.decode.constraint.vocabulary import Vocabulary
    from kosum_pl.metrics.reference_scan import ReferenceScan

    parts = load_parts(invocation)
    configured = parts.module.decoding.constraint
    settings = configured or ConstraintSettings()
    parts.datamodule.setup("fit")
    vocabulary = Vocabulary(parts.module.encoder, settings)
    scan = ReferenceScan(settings, write=vocabulary.write)
    for split, table in parts.datamodule.tables.items():
        for dialogue in table:
            scan.add(dialogue, split=split)
    return CharsetReport(
        settings=settings,
        is_set=configured is not None,
        vocabulary=vocabulary.report,
        scan=scan,
        notes=[*parts.module.notes, *parts.datamodule.report_lines],
    )
