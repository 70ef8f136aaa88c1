"""Keeps a terminal for what is about the run.

In: the libraries' habits of warning and advertising. Out: silence where the practitioner has nothing to do.
"""

from __future__ import annotations

import logging
import warnings
from typing import Final

_KNOWN_WARNINGS: Final = (
    r".*does not have many workers.*",  # few workers are the default on purpose
    r"Checkpoint directory .* exists and is not empty",  # a resumed fit goes on in the same run
    r"Experiment logs directory .* exists and is not empty",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",  # Lightning's and torchdata's calls, not ours
    r"'set_vital' is deprecated.*",
    r"predict returned None.*",  # the module keeps its predictions
)
_NO_NEWS: Final = ("Tip:", "TPU available", "Loading `train_dataloader` to estimate")


def quieten() -> None:
    """Drop the known warnings and the lines that are not about this run."""
    for pattern in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(is_news)
    # Said at import, whether or not anything is in 4 bit.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's is about this run: no advertisement, no hardware that nobody asked for."""
    return not any(text in record.getMessage() for text in _NO_NEWS)
