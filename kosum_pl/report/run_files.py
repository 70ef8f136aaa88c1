"""A run's files for the report; what they are is a matter of `kosum_pl.runs`."""

from kosum_pl.runs.run import Run as Run
from kosum_pl.runs.run import open_run as read_run

__all__ = ["Run", "read_run"]
