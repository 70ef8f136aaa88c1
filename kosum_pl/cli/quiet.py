"""Keeps a terminal for what is about the run.

In: the libraries' habits of warning and advertising. Out: silence where the practitioner has nothing to do, and of the
rest lines that a terminal shows and does not obey, whatever ids and paths stand in them.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from typing import Any, Final

from kosum_pl.errors import is_disk_full
from kosum_pl.terminal import TEXT, escaped

_KNOWN_WARNINGS: Final = (
    r".*does not have many workers.*",  # few workers are the default on purpose
    r"Checkpoint directory .* exists and is not empty",  # a resumed fit goes on in the same run
    r"Experiment logs directory .* exists and is not empty",
    r".*`isinstance\(treespec, LeafSpec\)` is deprecated.*",  # Lightning's and torchdata's calls, not ours
    r"'set_vital' is deprecated.*",
    r"predict returned None.*",  # the module keeps its predictions
)
_LOGGERS: Final = ("lightning.pytorch", "lightning.fabric", "transformers")
_NO_NEWS: Final = ("Tip:", "TPU available", "Loading `train_dataloader` to estimate")


def quieten() -> None:
    """Drop the known warnings and the lines that are not about this run; escape what is left."""
    for pattern in _KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=pattern)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(is_news)
    # Said at import, whether or not anything is in 4 bit.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    warnings.formatwarning = _escaping(warnings.formatwarning)
    threading.excepthook = _without_writers(threading.excepthook)
    for name in _LOGGERS:
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(escape_record)


def escape_record(record: logging.LogRecord) -> bool:
    """Spell out the control characters of a line that a library logs; never drops one."""
    record.msg, record.args = escaped(record.getMessage(), kept=TEXT), None
    return True


def _escaping(form: Callable[..., str]) -> Callable[..., str]:
    """A `warnings.formatwarning` that escapes; one that does already comes back as it is."""

    def escaping(*arguments: Any, **named: Any) -> str:
        return escaped(form(*arguments, **named), kept=TEXT)

    escaping.is_escaping = True  # type: ignore[attr-defined]
    return form if getattr(form, "is_escaping", False) else escaping


def _without_writers(hook: Callable[..., object]) -> Callable[..., object]:
    """A `threading.excepthook` without the traceback of TensorBoard's writer on a full disk, which its logger tells."""

    def telling(arguments: Any) -> None:
        is_writer = type(arguments.thread).__module__.startswith("tensorboard.")
        if not (is_writer and arguments.exc_value is not None and is_disk_full(arguments.exc_value)):
            hook(arguments)

    telling.is_telling = True  # type: ignore[attr-defined]
    return hook if getattr(hook, "is_telling", False) else telling


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of Lightning's is about this run: no advertisement, no hardware that nobody asked for."""
    return not any(text in record.getMessage() for text in _NO_NEWS)
