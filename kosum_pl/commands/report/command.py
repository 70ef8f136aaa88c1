"""`report`: one page of a run that can be read, sent and kept; or of several side by side.

In: run directories. Out: one self-contained HTML file and a Markdown summary beside it. Nothing is generated anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kosum_pl.cli.options import asks_for_help, output_file, take_option
from kosum_pl.errors import UsageError

HELP: Final = """usage: python -m kosum_pl report RUN [RUN ...] [options]

Write what a run has left behind as one HTML page that needs no network: scores with intervals, curves, slices, drift,
foreign characters, tags, best and worst rows, all predictions, config and versions. Of several runs, the first is held
against each other one on the rows that both have. Beside the page lies a Markdown summary for a pull request.

arguments:
  RUN              a run directory, such as runs/demo/latest, or a folder under its eval/

options:
  --output FILE    the page; default: report.html in the first run, of several runs report-compare.html there
  --markdown FILE  the summary; default: beside the page
  --help           this text"""
_COMPARE_FILE: Final = "report-compare.html"


def run(command: str, arguments: Sequence[str]) -> int:
    """Run the command.

    Args:
        command: Its name.
        arguments: What follows it.

    Returns:
        The exit status.

    Raises:
        ValueError: An option is wrong, or a folder is no run.
    """
    if asks_for_help(arguments):
        print(HELP)
        return 0
    output, rest = take_option(arguments, name="--output")
    summary, names = take_option(rest, name="--markdown")
    unknown = next((name for name in names if name.startswith("-")), None)
    if unknown:
        raise UsageError(f"unknown option '{unknown}' of {command}; options: --output, --markdown, --help")
    if not names:
        raise UsageError(f"{command} needs a run, such as runs/demo/latest; see {command} --help")
    page, markdown = output_file(output, option="--output"), output_file(summary, option="--markdown")
    folders = [Path(name).expanduser() for name in names]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"run '{folder}' is no folder; give a run directory such as runs/demo/latest")
    _write(folders, page=page, markdown=markdown)
    return 0


def _write(folders: Sequence[Path], *, page: Path | None, markdown: Path | None) -> None:
    # Seconds of imports, after everything that can be checked without them.
    from kosum_pl.report import MAX_RUNS, REPORT_FILE, read_run, write_report

    if len(folders) > MAX_RUNS:
        raise UsageError(f"{len(folders)} runs are more than a page can hold; give at most {MAX_RUNS}")
    runs = [read_run(folder) for folder in folders]
    page = page or folders[0] / (REPORT_FILE if len(folders) == 1 else _COMPARE_FILE)
    markdown = markdown or page.with_suffix(".md")
    if markdown == page:
        raise UsageError(f"--output {page}: the summary would overwrite the page; give another name with --markdown")
    for path in (page, markdown):
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"{path.parent} cannot be written to; give another place with --output")
    write_report(runs, html_file=page, markdown_file=markdown)
    print(f"report: {page}")
    print(f"summary: {markdown}")
