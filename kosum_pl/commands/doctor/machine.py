"""Whether this machine can do what the config asks: GPU, precision, quantization, attention kernels, disk, memory.

In: facts about the machine, gathered once, and the resolved config. Out: findings. The facts are a value, so that a
test plants a GPU without bf16 on a machine that has none.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kosum_pl.commands.doctor.finding import Finding, Level
from kosum_pl.commands.doctor.versions import installed_version

_AREA: Final = "machine"
_GB: Final = 1e9
_DISK_BROKEN, _DISK_LOW, _MEMORY_LOW = 0.5, 5.0, 2.0
# Below it Lightning and accelerate warn that loader processes may hang.
_MIN_KERNEL: Final = (5, 5)
_FLASH: Final = {
    "flash_attention_2": "flash-attn",
    "flash_attention_3": "flash-attn-3",
    "flash_attention_4": "flash-attn-4",
}
_NEEDED_BY_SOME: Final = ("bitsandbytes", "peft", "kernels", *_FLASH.values())


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a run would find.

    Attributes:
        torch_version: Installed PyTorch.
        torch_cuda: CUDA version that it was built with; None for a CPU build.
        gpus: Names of the GPUs that it can use.
        gpu_memory_gb: Memory of the first one, in GB.
        has_bf16: Whether the first GPU computes in bf16; True without one, as CPUs do.
        has_driver: Whether an NVIDIA driver is loaded.
        packages: Those of the packages that only some configs need that are installed.
        num_cpus: CPUs that this process may use.
        kernel: Release of a Linux kernel; empty elsewhere.
        free_memory_gb: Memory that is available, in GB; None where that is not known.
        free_disk_gb: Free space by what it is for, in GB.
    """

    torch_version: str
    torch_cuda: str | None = None
    gpus: tuple[str, ...] = ()
    gpu_memory_gb: float = 0.0
    has_bf16: bool = True
    has_driver: bool = False
    packages: frozenset[str] = frozenset()
    num_cpus: int = 1
    kernel: str = ""
    free_memory_gb: float | None = None
    free_disk_gb: Mapping[str, float] = field(default_factory=dict)


def read_machine(folders: Mapping[str, Path]) -> Machine:
    """The machine as it is.

    Args:
        folders: Where a run writes, by what it is for; a folder need not exist yet.
    """
    import torch

    has_gpu = torch.cuda.is_available()
    return Machine(
        torch_version=torch.__version__,
        torch_cuda=torch.version.cuda,
        gpus=tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())) if has_gpu else (),
        gpu_memory_gb=torch.cuda.get_device_properties(0).total_memory / _GB if has_gpu else 0.0,
        has_bf16=not has_gpu or torch.cuda.is_bf16_supported(including_emulation=False),
        has_driver=Path("/proc/driver/nvidia/version").is_file(),
        packages=frozenset(name for name in _NEEDED_BY_SOME if installed_version(name) is not None),
        num_cpus=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        kernel=platform.release() if platform.system() == "Linux" else "",
        free_memory_gb=_free_memory_gb(),
        free_disk_gb=_free_disk_gb({name: _existing(folder) for name, folder in folders.items()}),
    )


def machine_findings(machine: Machine, config: Mapping[str, Any]) -> list[Finding]:
    """What of a config this machine cannot do, or not well.

    Args:
        machine: From `read_machine`.
        config: Resolved: `trainer`, `model`, `data`; may be empty.
    """
    trainer, data = config.get("trainer") or {}, config.get("data") or {}
    model = (config.get("model") or {}).get("init_args") or {}
    return [
        *_device_findings(machine, trainer),
        *_precision_findings(machine, trainer),
        *_quantization_findings(machine, model),
        *_attention_findings(machine, model, trainer),
        *_worker_findings(machine, data),
        *_space_findings(machine),
    ]


def _device_findings(machine: Machine, trainer: Mapping[str, Any]) -> list[Finding]:
    accelerator, devices = str(trainer.get("accelerator") or "auto"), trainer.get("devices")
    wants_gpu = accelerator in ("gpu", "cuda")
    build = f"torch {machine.torch_version} ({f'CUDA {machine.torch_cuda}' if machine.torch_cuda else 'CPU build'})"
    if machine.gpus:
        num_wanted = devices if isinstance(devices, int) and accelerator in ("gpu", "cuda", "auto") else 1
        found = f"{build}, {len(machine.gpus)} x {machine.gpus[0]} ({machine.gpu_memory_gb:.0f} GB)"
        if num_wanted > len(machine.gpus):
            text = f"trainer.devices={num_wanted}, and there are {len(machine.gpus)} GPUs"
            return [_finding("broken", text, f"--trainer.devices {len(machine.gpus)}")]
        return [_finding("ok", found)]
    if machine.has_driver:
        why = "is a CPU build" if machine.torch_cuda is None else "does not find it; driver and CUDA may not fit"
        text = f"an NVIDIA driver is loaded, and torch {machine.torch_version} {why}"
        remedy = "install the torch that nvidia-smi's CUDA version can run: https://pytorch.org/get-started/locally"
        return [_finding("broken" if wants_gpu else "warning", text, remedy)]
    if wants_gpu:
        return [
            _finding("broken", f"trainer.accelerator={accelerator}, and there is no GPU", "--trainer.accelerator auto")
        ]
    return [_finding("note", f"{build}, no GPU: runs take place on {machine.num_cpus} CPUs")]


def _precision_findings(machine: Machine, trainer: Mapping[str, Any]) -> list[Finding]:
    precision = str(trainer.get("precision") or "32-true")
    if not machine.gpus:
        if precision in ("16-mixed", "16"):
            text = f"trainer.precision={precision} is for GPUs; Lightning takes bf16-mixed on a CPU"
            return [_finding("warning", text, "--trainer.precision 32-true, on this machine")]
        return []
    if "bf16" in precision and not machine.has_bf16:
        text = f"trainer.precision={precision}, and {machine.gpus[0]} does not compute in bf16"
        return [_finding("broken", text, "--trainer.precision 16-mixed")]
    return []


def _quantization_findings(machine: Machine, model: Mapping[str, Any]) -> list[Finding]:
    quantization = str(model.get("quantization") or "none")
    needs = {
        "bitsandbytes": [
            *([f"model.quantization={quantization}"] if quantization != "none" else []),
            *(
                [f"model.optimizer={name}"]
                if (name := str(model.get("optimizer"))).startswith(("paged", "adamw_8"))
                else []
            ),
        ],
        "peft": ["model.adapter"] if model.get("adapter") else [],
    }
    findings = [
        _finding("broken", f"{' and '.join(askers)} needs {name}, which is not installed", f"pip install {name}")
        for name, askers in needs.items()
        if askers and name not in machine.packages
    ]
    if quantization != "none" and not findings and not machine.gpus:
        findings.append(_finding("note", f"model.quantization={quantization} without a GPU works, and is slow"))
    return findings


def _attention_findings(machine: Machine, model: Mapping[str, Any], trainer: Mapping[str, Any]) -> list[Finding]:
    name = str(model.get("attn_implementation") or "")
    asked, remedy = f"model.attn_implementation={name}", "--model.attn_implementation sdpa"
    if "/" in name:
        is_missing = "kernels" not in machine.packages
        return [_finding("broken", f"{asked} needs the package kernels", remedy)] if is_missing else []
    if name not in _FLASH:
        return []
    findings = []
    package = _FLASH[name]
    # With `kernels` installed transformers fetches a compiled one instead.
    if machine.packages.isdisjoint({package, "kernels"}):
        findings.append(_finding("broken", f"{asked} needs the package {package}, which is not installed", remedy))
    if not machine.gpus:
        findings.append(_finding("broken", f"{asked} needs a GPU, and there is none", remedy))
    is_half = str(model.get("dtype")) in ("bfloat16", "float16") or "16" in str(trainer.get("precision"))
    if not is_half:
        text = f"{asked} computes in 16 bit only, and model.dtype={model.get('dtype')}"
        findings.append(_finding("broken", text, "--trainer.precision bf16-mixed, or sdpa"))
    return findings


def _worker_findings(machine: Machine, data: Mapping[str, Any]) -> list[Finding]:
    findings, num_workers = [], int(data.get("num_workers") or 0)
    if num_workers > machine.num_cpus:
        text = f"data.num_workers={num_workers}, and this process may use {machine.num_cpus} CPUs"
        findings.append(_finding("warning", text, f"--data.num_workers {max(machine.num_cpus - 1, 0)}"))
    found = re.match(r"(\d+)\.(\d+)", machine.kernel)
    if found and (int(found[1]), int(found[2])) < _MIN_KERNEL and num_workers:
        text = f"Linux kernel {machine.kernel} is older than 5.5: loader processes have been seen to hang"
        findings.append(_finding("warning", text, "--data.num_workers 0, or a newer kernel"))
    return findings


def _space_findings(machine: Machine) -> list[Finding]:
    findings = []
    for name, free in machine.free_disk_gb.items():
        level: Level = "broken" if free < _DISK_BROKEN else "warning" if free < _DISK_LOW else "ok"
        remedy = "" if level == "ok" else "free some, or choose another place: --runs_dir DIR, $KOSUM_CACHE, $HF_HOME"
        findings.append(_finding(level, f"{free:,.1f} GB free on the disk of {name}", remedy))
    if machine.free_memory_gb is not None:
        is_low = machine.free_memory_gb < _MEMORY_LOW
        remedy = "end other programs, or weights will not fit" if is_low else ""
        text = f"{machine.free_memory_gb:,.1f} GB of memory available"
        findings.append(_finding("warning" if is_low else "ok", text, remedy))
    return findings


def _finding(level: Level, text: str, remedy: str = "") -> Finding:
    return Finding(area=_AREA, level=level, text=text, remedy=remedy)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    absolute = folder.expanduser().resolve()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def _free_disk_gb(folders: Mapping[str, Path]) -> dict[str, float]:
    """Free space in GB, a disk at a time, by what lies on it."""
    disks: dict[int, list[str]] = {}
    for name, folder in folders.items():
        disks.setdefault(folder.stat().st_dev, []).append(name)
    return {", ".join(names): shutil.disk_usage(folders[names[0]]).free / _GB for names in disks.values()}


def _free_memory_gb() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return int(kilobytes) * 1024 / _GB if kilobytes else None
