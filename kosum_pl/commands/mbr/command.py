"""`mbr`: for each row the summary that those of several runs agree with most.

In: run directories over the same rows, of whatever models. Out: a folder like an evaluation's, with predictions, scores
and a line a row on what was chosen; exit status 0. Nothing is generated: an ensemble of models that share no tokenizer.
"""

from __future__ import annotations

from kosum_pl.cli.arguments import Options
from kosum_pl.errors import UsageError
from kosum_pl.terminal import say


def run(options: Options) -> int:
    """Run the command."""
    if not options.runs:
        raise UsageError("mbr needs runs, such as runs/a/latest runs/b/latest runs/c/latest; see mbr --help")
    # Seconds of imports, after everything that can be checked without them.
    from kosum_pl.commands.mbr.run import combine
    from kosum_pl.runs.csv_cells import CsvCells
    from kosum_pl.runs.run import open_run

    runs = [open_run(folder) for folder in options.runs]
    cells = CsvCells(is_safe=options.safe_csv)
    for line in combine(runs, weights=options.weights, output=options.output, cells=cells):
        say(line)
    return 0
