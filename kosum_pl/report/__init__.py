"""Room of the report: a run's files to one HTML page and a Markdown summary.

In: a run directory. Out: text. Nothing is trained or generated here; rows are scored by the run's own metrics.
"""

from kosum_pl.report.page import MARKDOWN_FILE, MAX_RUNS, REPORT_FILE, report_folder, write_report

__all__ = ["MARKDOWN_FILE", "MAX_RUNS", "REPORT_FILE", "report_folder", "write_report"]
