"""Which errors a user can repair, and the one line that reports them.

In: an exception. Out: its line, or None where it is a defect and its traceback should be seen. Only the standard
library is imported.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parent
_REPORT: Final = "kosum_pl: this is a defect; please report it with"
_ROOMS: Final = (_PACKAGE, _PACKAGE.parent / "callbacks")
# Its callbacks check late what a config asks of them, such as a score that nobody logs.
_CALLBACKS_OF_LIGHTNING: Final = ("pytorch", "callbacks")
_MAX_NAME: Final = 200
_OTHER_PLACE: Final = "free space, or name another place (--runs_dir, KOSUM_CACHE, TMPDIR)"
# What libraries say of a full disk that raise no error of the system's: safetensors, sqlite, Arrow.
_FULL_DISK: Final = ("No space left on device", "Disk quota exceeded", "disk is full")
# What a user can mend about a file; where a file is merely missing, one of our rooms says it, or it is a defect.
_REMEDIES: Final[Mapping[int, str]] = {
    errno.EACCES: "change its permissions, or name another place",
    errno.EPERM: "change its permissions, or name another place",
    errno.EROFS: "name a place that is not read-only",
    errno.ENOTDIR: "a file stands where a folder is meant: move it away, or name another place",
    errno.EISDIR: "a folder stands where a file is meant: move it away, or name another place",
    errno.ENOTEMPTY: "a folder stands where a file is meant: move it away, or name another place",
    errno.ENAMETOOLONG: "write a shorter name",
    errno.ELOOP: "links lead in a circle: remove them",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
    errno.ENOSPC: f"the disk is full: {_OTHER_PLACE}",
    errno.EDQUOT: f"the quota is used up: {_OTHER_PLACE}",
    errno.EEXIST: "a file stands where a folder is meant: move it away, or name another place",
}
# What torch, CUDA and cuBLAS say of memory that is not there, in whatever class.
_OUT_OF_MEMORY: Final = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
_ALLOCATION: Final = re.compile(r"(?:you )?tried to allocate [\d.,]+ ?\w+", re.IGNORECASE)
_MAX_STATEMENT: Final = 120


# What gloo and NCCL say when the other end of a connection is gone.
_LOST_PEER: Final = re.compile(
    r"(?i)connection (?:closed|reset) by (?:remote )?peer|remote process (?:exited|has terminated)"
)


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
    if isinstance(error, OSError) and error.errno in _REMEDIES and error.filename is not None:
        return _os_error_line(error)
    if is_disk_full(error):  # of a writer that is not ours
        return f"{one_line(str(error))[:_MAX_NAME]}; the disk is full: {_OTHER_PLACE}"
    if isinstance(error, (ValueError, FileNotFoundError)) and is_raised_in_rooms(error):
        return one_line(str(error))
    if isinstance(error, RuntimeError) and (lost := _LOST_PEER.search(str(error))):
        return f"another process of this run has ended ({lost.group().lower()}); why stands in its own output"
    if isinstance(error, RuntimeError) and _place(error).parts[-3:-1] == _CALLBACKS_OF_LIGHTNING:
        return one_line(str(error))
    if is_out_of_memory(error):
        return (
            f"memory ran out ({memory_statement(error)}): end what else uses it, or take smaller batches, a smaller "
            "model or model.dtype=bfloat16; python -m kosum_pl plan counts what a config needs"
        )
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the machine or its accelerator has no memory left.

    Example:
        >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("CUDA error: out of memory"))
        (True, True)
        >>> is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
        False
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # By name, as torch is not imported here: torch.OutOfMemoryError is a RuntimeError.
    is_named = type(error).__name__ == "OutOfMemoryError"
    return isinstance(error, RuntimeError) and (is_named or any(text in str(error) for text in _OUT_OF_MEMORY))


def is_disk_full(error: BaseException) -> bool:
    """Whether an error says that there is no room left on a disk, or in a quota.

    Example:
        >>> is_disk_full(OSError(errno.EDQUOT, "Disk quota exceeded")), is_disk_full(OSError(errno.EACCES, "denied"))
        (True, False)
    """
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return isinstance(error, Exception) and any(text in str(error) for text in _FULL_DISK)


def memory_statement(error: BaseException) -> str:
    """What an allocator says of itself, in a few words.

    Example:
        >>> memory_statement(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total …"))
        'Tried to allocate 2.00 GiB'
        >>> memory_statement(MemoryError())
        'out of memory'
    """
    found = _ALLOCATION.search(str(error))
    said = found[0] if found else next((line for line in str(error).splitlines() if line.strip()), "")
    return one_line(said)[:_MAX_STATEMENT] or "out of memory"


@contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Inside, memory that runs out is one line that says what it was for, such as `train.csv was read`."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise UsageError(
            f"memory ran out while {what} ({memory_statement(error)}): end what else uses it, or split the file"
        ) from error


def _os_error_line(error: OSError) -> str:
    # Of a rename, the second name is the file that was meant; the first is a temporary one.
    name = error.filename2 if error.filename2 is not None else error.filename
    shown = name if isinstance(name, str) else os.fsdecode(name) if isinstance(name, bytes) else str(name)
    shown = shown if len(shown) <= _MAX_NAME else f"{shown[:_MAX_NAME]}…"
    return one_line(f"{shown}: {error.strerror}; {_REMEDIES[error.errno or 0]}")


def add_report_note(error: BaseException, *, crash_file: Path | None = None) -> None:
    """Add the last line of a traceback that nobody foresaw: where it stands, and that it should be reported; once.

    Example:
        >>> error = KeyError("x")
        >>> add_report_note(error, crash_file=Path("runs/demo/crash.txt"))
        >>> add_report_note(error)
        >>> error.__notes__
        ['kosum_pl: this is a defect; please report it with runs/demo/crash.txt']
    """
    if not getattr(error, "__notes__", None):
        error.add_note(f"{_REPORT} {crash_file or 'this traceback and the command'}")


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
