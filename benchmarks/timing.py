"""What every benchmark here measures with: interleaved medians, memory of the process, facts of the machine.

In: functions. Out: numbers. Contenders take turns at every step, in an order that rotates, so that a noisy machine hits
all of them alike. What shares the processor makes wall time longer, the more so the longer a step is; processor time
is free of that, and on a quiet machine and one thread they are the same.
"""

from __future__ import annotations

import ctypes
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch


def synchronise(device: torch.device) -> None:
    """Wait for what was asked of a device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True, kw_only=True)
class Medians:
    """Median seconds by contender: of the wall clock, and of the processor in this process."""

    wall: dict[str, float]
    cpu: dict[str, float]


def seconds_of(work: Callable[[], Any], *, device: torch.device | None = None) -> tuple[float, Any]:
    """Wall time in seconds, and what the work returned."""
    if device is not None:
        synchronise(device)
    start = time.perf_counter()
    found = work()
    if device is not None:
        synchronise(device)
    return time.perf_counter() - start, found


def interleaved_medians(
    contenders: Mapping[str, Callable[[int], Callable[[], Any]]],
    *,
    num_rounds: int,
    num_warm_up: int,
    device: torch.device,
) -> Medians:
    """Median seconds of each contender.

    Args:
        contenders: By name: from a round's number, what is timed in it; what leads there is not timed.
        num_rounds: Rounds that count.
        num_warm_up: Rounds before them.
        device: Waited for before and after each turn.
    """
    names = list(contenders)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(num_warm_up + num_rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            work = contenders[name](turn)
            before = time.process_time()
            elapsed, _ = seconds_of(work, device=device)
            used = time.process_time() - before
            if turn >= num_warm_up:
                wall[name].append(elapsed)
                cpu[name].append(used)
    return Medians(
        wall={name: statistics.median(seconds) for name, seconds in wall.items()},
        cpu={name: statistics.median(seconds) for name, seconds in cpu.items()},
    )


def keep_freed_memory() -> None:
    """Let glibc hand freed megabytes out again; elsewhere nothing happens.

    By default it gives them back to the system or not, as earlier allocations happened to lie, and a contender that
    returns new scores takes twice as long whenever it does. Blocks of more than 32 MiB are always given back.
    """
    trim_threshold, mmap_threshold = -1, -3
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(mmap_threshold, 32 * 2**20)
        library.mallopt(trim_threshold, 2**30)


def resident_mib() -> float | None:
    """Resident memory of this process in MiB; None where psutil is missing."""
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return None
    return float(psutil.Process().memory_info().rss / 2**20)


def grown_mib(before: float | None) -> float | None:
    """How much larger the process has become, in MiB."""
    now = resident_mib()
    return None if before is None or now is None else round(now - before, 1)


def machine_facts(device: torch.device) -> dict[str, Any]:
    """What the numbers depend on, with the load of the last minute."""
    return {
        "processor": platform.processor() or platform.machine(),
        "num_cpus": os.cpu_count(),
        "num_threads": torch.get_num_threads(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
