"""Whether this machine can do what the config asks: GPU, precision, quantization, attention kernels, disk, memory.

In: facts about the machine, gathered once, and the resolved config. Out: findings. The facts are a value, so that a
test plants a GPU without bf16 on a machine that has none.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kosum_pl.commands.doctor.finding import Finding, broken, note, ok, warning, warning_if
from kosum_pl.commands.doctor.versions import installed_version

_GB: Final = 1e9
_DISK_BROKEN, _DISK_LOW, _MEMORY_LOW = 0.5, 5.0, 2.0
# Below it Lightning and accelerate warn that loader processes may hang.
_MIN_KERNEL: Final = (5, 5)
_FLASH: Final = {"flash_attention_2": "flash-attn"} | {f"flash_attention_{n}": f"flash-attn-{n}" for n in (3, 4)}
_NEEDED_BY_SOME: Final = ("bitsandbytes", "peft", "kernels", *_FLASH.values())


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a run would find.

    Attributes:
        torch_cuda: CUDA version that PyTorch was built with; None for a CPU build.
        gpus: Names of the GPUs that it can use; `gpu_memory_gb` and `has_bf16` are of the first one.
        has_bf16: True without a GPU, as CPUs compute in bf16.
        packages: Those of the packages that only some configs need that are installed.
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
    """The machine as it is; `folders` are where a run writes, by what it is for, and need not exist yet."""
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


def machine_findings(machine: Machine, config: Mapping[str, Any]) -> Iterator[Finding]:
    """What of a resolved config, which may be empty, this machine cannot do, or not well."""
    trainer, data = config.get("trainer") or {}, config.get("data") or {}
    model = (config.get("model") or {}).get("init_args") or {}
    yield _device_finding(machine, trainer)
    yield from _precision_findings(machine, str(trainer.get("precision") or "32-true"))
    yield from _quantization_findings(machine, model)
    yield from _attention_findings(machine, model, trainer)
    yield from _worker_findings(machine, int(data.get("num_workers") or 0))
    yield from _space_findings(machine)


def _device_finding(machine: Machine, trainer: Mapping[str, Any]) -> Finding:
    accelerator, devices = str(trainer.get("accelerator") or "auto"), trainer.get("devices")
    wants_gpu, num_gpus = accelerator in ("gpu", "cuda"), len(machine.gpus)
    build = f"torch {machine.torch_version} ({f'CUDA {machine.torch_cuda}' if machine.torch_cuda else 'CPU build'})"
    if machine.gpus:
        if isinstance(devices, int) and devices > num_gpus and (wants_gpu or accelerator == "auto"):
            return broken(f"trainer.devices={devices}, and there are {num_gpus} GPUs", f"--trainer.devices {num_gpus}")
        return ok(f"{build}, {num_gpus} x {machine.gpus[0]} ({machine.gpu_memory_gb:.0f} GB)")
    if machine.has_driver:
        why = "is a CPU build" if machine.torch_cuda is None else "does not find it; driver and CUDA may not fit"
        text = f"an NVIDIA driver is loaded, and torch {machine.torch_version} {why}"
        remedy = "install the torch that nvidia-smi's CUDA version can run: https://pytorch.org/get-started/locally"
        return broken(text, remedy) if wants_gpu else warning(text, remedy)
    if wants_gpu:
        return broken(f"trainer.accelerator={accelerator}, and there is no GPU", "--trainer.accelerator auto")
    return note(f"{build}, no GPU: runs take place on {machine.num_cpus} CPUs")


def _precision_findings(machine: Machine, precision: str) -> Iterator[Finding]:
    if not machine.gpus and precision in ("16-mixed", "16"):
        text = f"trainer.precision={precision} is for GPUs; Lightning takes bf16-mixed on a CPU"
        yield warning(text, "--trainer.precision 32-true, on this machine")
    if machine.gpus and "bf16" in precision and not machine.has_bf16:
        text = f"trainer.precision={precision}, and {machine.gpus[0]} does not compute in bf16"
        yield broken(text, "--trainer.precision 16-mixed")


def _quantization_findings(machine: Machine, model: Mapping[str, Any]) -> Iterator[Finding]:
    quantization, optimizer = str(model.get("quantization") or "none"), str(model.get("optimizer"))
    is_quantized = quantization != "none"
    needs: dict[str, list[str]] = {"bitsandbytes": [], "peft": []}
    if is_quantized:
        needs["bitsandbytes"].append(f"model.quantization={quantization}")
    if optimizer.startswith(("paged", "adamw_8")):
        needs["bitsandbytes"].append(f"model.optimizer={optimizer}")
    if model.get("adapter"):
        needs["peft"].append("model.adapter")
    lacking = [name for name, askers in needs.items() if askers and name not in machine.packages]
    for name in lacking:
        yield broken(f"{' and '.join(needs[name])} needs {name}, which is not installed", f"pip install {name}")
    if is_quantized and not lacking and not machine.gpus:
        yield note(f"model.quantization={quantization} without a GPU works, and is slow")


def _attention_findings(machine: Machine, model: Mapping[str, Any], trainer: Mapping[str, Any]) -> Iterator[Finding]:
    name = str(model.get("attn_implementation") or "")
    asked, remedy = f"model.attn_implementation={name}", "--model.attn_implementation sdpa"
    if "/" in name and "kernels" not in machine.packages:
        yield broken(f"{asked} needs the package kernels", remedy)
    if name not in _FLASH:
        return
    # With `kernels` installed transformers fetches a compiled one instead.
    if machine.packages.isdisjoint({_FLASH[name], "kernels"}):
        yield broken(f"{asked} needs the package {_FLASH[name]}, which is not installed", remedy)
    if not machine.gpus:
        yield broken(f"{asked} needs a GPU, and there is none", remedy)
    if str(model.get("dtype")) not in ("bfloat16", "float16") and "16" not in str(trainer.get("precision")):
        text = f"{asked} computes in 16 bit only, and model.dtype={model.get('dtype')}"
        yield broken(text, "--trainer.precision bf16-mixed, or sdpa")


def _worker_findings(machine: Machine, num_workers: int) -> Iterator[Finding]:
    if num_workers > machine.num_cpus:
        text = f"data.num_workers={num_workers}, and this process may use {machine.num_cpus} CPUs"
        yield warning(text, f"--data.num_workers {max(machine.num_cpus - 1, 0)}")
    found = re.match(r"(\d+)\.(\d+)", machine.kernel)
    if found and (int(found[1]), int(found[2])) < _MIN_KERNEL and num_workers:
        text = f"Linux kernel {machine.kernel} is older than 5.5: loader processes have been seen to hang"
        yield warning(text, "--data.num_workers 0, or a newer kernel")


def _space_findings(machine: Machine) -> Iterator[Finding]:
    for name, free in machine.free_disk_gb.items():
        text = f"{free:,.1f} GB free on the disk of {name}"
        remedy = "free some, or choose another place: --runs_dir DIR, $KOSUM_CACHE, $HF_HOME"
        yield broken(text, remedy) if free < _DISK_BROKEN else warning_if(free < _DISK_LOW, text, remedy)
    if machine.free_memory_gb is not None:
        text = f"{machine.free_memory_gb:,.1f} GB of memory available"
        yield warning_if(machine.free_memory_gb < _MEMORY_LOW, text, "end other programs, or weights will not fit")


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
