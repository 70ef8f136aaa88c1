"""Which errors a user can repair, and the one line that reports them.

In: an exception. Out: its line, or None where it is a defect and its traceback should be seen. Only the standard
library is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_ROOMS: Final = (_PACKAGE, _PACKAGE.parent / "callbacks")
# Its callbacks check late what a config asks of them, such as a score that nobody logs.
_CALLBACKS_OF_LIGHTNING: Final = ("pytorch", "callbacks")


class UsageError(ValueError):
    """The command line or a config is wrong; the message is one line that says what, where and the remedy."""


def user_error_line(error: BaseException) -> str | None:
    """The one line to print of an error that a user can repair; None for any other.

    A `ValueError` counts when one of our rooms raised it: there it names value, location and remedy. The same from
    inside a library is more likely a defect of ours, and keeps its traceback; but what Lightning's callbacks refuse,
    a config has asked of them.

    Example:
        >>> user_error_line(UsageError("unknown command 'fti'"))
        "unknown command 'fti'"
        >>> user_error_line(KeyError("x")) is None
        True
    """
    if isinstance(error, UsageError) or type(error).__name__ == "MisconfigurationException":
        return one_line(str(error))
    if isinstance(error, (ValueError, FileNotFoundError)) and is_raised_in_rooms(error):
        return one_line(str(error))
    if isinstance(error, RuntimeError) and _place(error).parts[-3:-1] == _CALLBACKS_OF_LIGHTNING:
        return one_line(str(error))
    return None


def checkpoint_misfit(error: Exception, checkpoint: str) -> UsageError | None:
    """The message where a checkpoint, named by its path, does not fit its config; None for any other error.

    Example:
        >>> checkpoint_misfit(RuntimeError("CUDA out of memory"), "last.ckpt") is None
        True
    """
    lines = [line.strip() for line in str(error).splitlines()] or [""]
    if "Error(s) in loading state_dict" in lines[0]:
        return UsageError(
            f"checkpoint {checkpoint} does not fit the model of this config: {lines[-1]} "
            "Give the config of its run: config.yaml beside checkpoints/"
        )
    if "checkpoint contains only the model" in lines[0]:
        return UsageError(f"checkpoint {checkpoint} holds weights alone, and fit cannot resume from it; give last.ckpt")
    # The sampler refuses inside Lightning, whose clean-up then stumbles over the loader that has not begun.
    refusal = str(error.__context__)
    return UsageError(refusal) if refusal.startswith("cannot resume: ") else None


def one_line(text: str) -> str:
    r"""A message without line breaks.

    Example:
        >>> one_line("a\n  - b")
        'a - b'
    """
    return " ".join(text.split())


def is_raised_in_rooms(error: BaseException) -> bool:
    """Whether the line that raised an error is one of ours, and no library's."""
    return any(room in _place(error).parents for room in _ROOMS)


def _place(error: BaseException) -> Path:
    """The file whose line raised an error; the working folder where nothing was raised."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return Path(traceback.tb_frame.f_code.co_filename if traceback else "").resolve()
