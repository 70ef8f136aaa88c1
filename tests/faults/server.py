"""Runs commands in processes that can be killed, without importing torch for each of them.

In: one JSON object a line on standard input: `{"args": [...], "folder": ..., "env": {...}, "log": ...}` starts
`python -m kosum_pl` with these words; `{"wait": PID}` waits for it. Out: a line each: the process id, or how it ended
(a negative number is the signal that killed it). It forks before any thread has begun.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import torch

torch.set_num_threads(1)

from kosum_pl.__main__ import main  # noqa: E402
from kosum_pl.cli import lightning_cli  # noqa: E402, F401  all that is heavy


def serve() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _run(request)
        print(pid, flush=True)


def _run(request: dict) -> None:  # type: ignore[type-arg]
    os.setsid()
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])
    os.environ.update(request["env"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    status = 1
    try:
        status = main(request["args"])
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
