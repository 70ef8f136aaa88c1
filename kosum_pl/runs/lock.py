"""One `fit` at a time in a run directory.

In: a run. Out: a block in which this process alone trains in it, or a `UsageError` that names the process that does.
`fit.lock` says who it is and goes when it ends; after `kill -9` the file stays, but the system holds the lock no more,
and the next `fit` takes the run over. Where the file system knows no locks the file alone decides, by whether its
process lives. What another host has written is never overruled: no lock tells from here whether that process lives.
Only the standard library is imported.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from kosum_pl.errors import UsageError
from kosum_pl.locks import FileLock, take_lock
from kosum_pl.runs.files import LOCK_FILE
from kosum_pl.runs.record import now
from kosum_pl.terminal import say


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that trains in a run.

    Attributes:
        host: Name of its machine.
        pid: Its number there.
        since: When it began to train, in ISO 8601.
        process_start: Clock ticks from the machine's start to the process's, by which a number that was given again is
            known; None where the system does not say.
    """

    host: str
    pid: int
    since: str
    process_start: int | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs, where it is one of this machine."""
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, OverflowError):
            return False
        except OSError:  # another user's
            pass
        started = _process_start(self.pid)
        return None in (started, self.process_start) or started == self.process_start


@contextmanager
def hold_run(run_dir: Path) -> Iterator[None]:
    """Keep every other `fit` out of a run while the block lasts.

    Raises:
        UsageError: Another one trains in it, or may do so; or the run cannot be written.
    """
    path = run_dir / LOCK_FILE
    try:
        lock = _take(run_dir)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); fit needs a run that it can write") from None
    try:
        yield
    finally:
        lock.release()


def _take(run_dir: Path) -> FileLock:
    path = run_dir / LOCK_FILE
    lock = take_lock(path, waits=False)
    if lock is None:
        raise _refusal(run_dir, _parse(_text_of(path)), is_certain=True)
    before = lock.read()
    if not lock.is_new and not is_stale(_parse(before), is_certain=lock.is_certain):
        lock.release(keeps_file=True)
        raise _refusal(run_dir, _parse(before), is_certain=False)
    try:
        lock.write(json.dumps(asdict(_this_process())) + "\n")
    except OSError:
        lock.release()
        raise
    if before:
        _say_taken_over(run_dir, _parse(before))
    return lock


def is_stale(holder: Holder | None, *, is_certain: bool) -> bool:
    """Whether a lock file that nothing holds was left behind by a process that has ended.

    Args:
        holder: Who wrote it; None where it does not say.
        is_certain: Whether the system would tell if a process of this host held it.
    """
    if holder is not None and holder.host != platform.node():
        return False
    return is_certain or (holder is not None and not holder.is_alive)


def _this_process() -> Holder:
    pid = os.getpid()
    return Holder(host=platform.node(), pid=pid, since=now(), process_start=_process_start(pid))


def _process_start(pid: int) -> int | None:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The program's name, in brackets, may hold blanks and brackets itself.
        return int(status.rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # its holder has just let go
        return ""


def _parse(text: str) -> Holder | None:
    try:
        values = json.loads(text)
        return Holder(
            host=str(values["host"]),
            pid=int(values["pid"]),
            since=str(values["since"]),
            process_start=values.get("process_start"),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _refusal(run_dir: Path, holder: Holder | None, *, is_certain: bool) -> UsageError:
    remedy = "wait until it ends, or stop it"
    if not is_certain:
        remedy += f"; if it is gone, delete {run_dir / LOCK_FILE}"
    return UsageError(f"run {run_dir} is being trained by {_name(holder)}; {remedy}")


def _say_taken_over(run_dir: Path, holder: Holder | None) -> None:
    line = f"{run_dir}: {_name(holder)} ended without a word; fit goes on in its place"
    say(f"kosum_pl: warning: {line}", file=sys.stderr, flush=True)


def _name(holder: Holder | None) -> str:
    if holder is None:
        return "another process"
    return f"process {holder.pid} on host {holder.host} since {holder.since}"
