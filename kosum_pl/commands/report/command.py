"""`report`: one page of a run that can be read, sent and kept; or of several side by side.

In: run directories. Out: one self-contained HTML file and a Markdown summary beside it. Nothing is generated anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kosum_pl.cli.arguments import Options
from kosum_pl.errors import UsageError
from kosum_pl.terminal import say

_COMPARE_FILE: Final = "report-compare.html"


def run(options: Options) -> int:
    """Run the command."""
    command, folders = options.command, options.runs
    if not folders:
        raise UsageError(f"{command} needs a run, such as runs/demo/latest; see {command} --help")
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"run '{folder}' is no folder; give a run directory such as runs/demo/latest")
    _write(folders, page=options.output, markdown=options.markdown, is_redacted=options.redact)
    return 0


def _write(folders: Sequence[Path], *, page: Path | None, markdown: Path | None, is_redacted: bool) -> None:
    # Seconds of imports, after everything that can be checked without them.
    from kosum_pl.report import MAX_RUNS, REPORT_FILE, write_report
    from kosum_pl.runs.files import NO_TEXT_KEY
    from kosum_pl.runs.run import open_run

    if len(folders) > MAX_RUNS:
        raise UsageError(f"{len(folders)} runs are more than a page can hold; give at most {MAX_RUNS}")
    runs = [open_run(folder) for folder in folders]
    for run in runs:
        if run.metrics.get(NO_TEXT_KEY):
            raise UsageError(f"{run.folder} was written with --no_text, and a page needs dialogues; predict without it")
    page = page or folders[0] / (REPORT_FILE if len(folders) == 1 else _COMPARE_FILE)
    markdown = markdown or page.with_suffix(".md")
    if markdown == page:
        raise UsageError(f"--output {page}: the summary would overwrite the page; give another name with --markdown")
    for path in (page, markdown):
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path.parent} cannot be written to; give another place with --output")
    for run in runs:
        for note in run.notes:
            say(f"kosum_pl: warning: {run.folder}: {note}; the page leaves it out", file=sys.stderr)
    write_report(runs, html_file=page, markdown_file=markdown, is_redacted=is_redacted)
    say(f"report: {page}")
    say(f"summary: {markdown}")
