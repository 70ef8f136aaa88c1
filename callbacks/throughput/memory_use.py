"""Memory of the device, or of the process where there is none, in GB of 1e9 bytes.

In: a device. Out: numbers by name. The system's own files are read: a library for three numbers would be one more thing
to install.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import torch

_STATUS: Final = Path("/proc/self/status")
_FIELD: Final = re.compile(r"^(VmRSS|VmHWM):\s*(\d+) kB$", re.MULTILINE)


def memory_use(device: torch.device) -> dict[str, float]:
    """Memory in GB: `memory_allocated_gb` and `memory_reserved_gb` on CUDA, else `memory_rss_gb`, and `memory_peak_gb`.

    Nothing is waited for. Peaks are the highest since the process began, validation included. What the system does not
    know is left out.
    """
    if device.type == "cuda":
        return {
            "memory_allocated_gb": torch.cuda.memory_allocated(device) / 1e9,
            "memory_reserved_gb": torch.cuda.memory_reserved(device) / 1e9,
            "memory_peak_gb": torch.cuda.max_memory_allocated(device) / 1e9,
        }
    try:
        return parse_status(_STATUS.read_text(encoding="utf-8"))
    except OSError:
        return _from_usage()


def parse_status(text: str) -> dict[str, float]:
    r"""Resident memory and its peak out of Linux's `/proc/<pid>/status`, in GB.

    Example:
        >>> parse_status("Name:\tpython\nVmHWM:\t  2000000 kB\nVmRSS:\t  1000000 kB\n")
        {'memory_rss_gb': 1.024, 'memory_peak_gb': 2.048}
    """
    found = {name: int(kibibytes) * 1024 / 1e9 for name, kibibytes in _FIELD.findall(text)}
    names = {"VmRSS": "memory_rss_gb", "VmHWM": "memory_peak_gb"}
    return {new: found[old] for old, new in names.items() if old in found}


def _from_usage() -> dict[str, float]:
    """The peak alone, which every Unix knows."""
    try:
        import resource
    except ImportError:
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"memory_peak_gb": peak * (1 if sys.platform == "darwin" else 1024) / 1e9}
