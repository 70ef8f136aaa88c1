from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kosum_pl.commands.doctor.machine import Machine, machine_findings, read_machine
from tests.commands.doctor.levels import texts

CPU = Machine(torch_version="2.13.0+cpu", num_cpus=4, kernel="6.8.0-31-generic")
GPU = replace(
    CPU, torch_version="2.13.0", torch_cuda="12.6", gpus=("T4",), gpu_memory_gb=16, packages=frozenset({"peft"})
)


def found(machine: Machine, level: str, **sections: Any) -> list[str]:
    return texts(machine_findings(machine, sections), level)


def model(**arguments: Any) -> dict[str, Any]:
    return {"init_args": arguments}


def test_bf16_on_a_gpu_without_it_breaks() -> None:
    old = replace(GPU, has_bf16=False)
    (finding,) = [f for f in machine_findings(old, {"trainer": {"precision": "bf16-mixed"}}) if f.level == "broken"]
    assert (finding.text, finding.remedy) == (
        "trainer.precision=bf16-mixed, and T4 does not compute in bf16",
        "--trainer.precision 16-mixed",
    )
    assert found(GPU, "broken", trainer={"precision": "bf16-mixed"}) == []
    assert found(old, "broken", trainer={"precision": "16-mixed"}) == []


@pytest.mark.parametrize(
    ("arguments", "packages", "lines"),
    [
        ({"quantization": "none"}, set(), []),
        (
            {"quantization": "nf4", "adapter": {"rank": 16}},
            {"peft"},
            ["model.quantization=nf4 needs bitsandbytes, which is not installed"],
        ),
        (
            {"adapter": {"rank": 16}, "optimizer": "paged_adamw_8bit"},
            set(),
            [
                "model.optimizer=paged_adamw_8bit needs bitsandbytes, which is not installed",
                "model.adapter needs peft, which is not installed",
            ],
        ),
        ({"quantization": "int8", "adapter": {"rank": 16}, "optimizer": "adamw"}, {"peft", "bitsandbytes"}, []),
    ],
)
def test_quantization_and_adapters_need_their_packages(
    arguments: dict[str, Any], packages: set[str], lines: list[str]
) -> None:
    assert found(replace(GPU, packages=frozenset(packages)), "broken", model=model(**arguments)) == lines


def test_flash_attention_needs_package_gpu_and_16_bit() -> None:
    asked = {"model": model(attn_implementation="flash_attention_2", dtype="float32")}
    half = {"trainer": {"precision": "bf16-mixed"}}
    assert found(CPU, "broken", **asked) == [
        "model.attn_implementation=flash_attention_2 needs the package flash-attn, which is not installed",
        "model.attn_implementation=flash_attention_2 needs a GPU, and there is none",
        "model.attn_implementation=flash_attention_2 computes in 16 bit only, and model.dtype=float32",
    ]
    for package in ("flash-attn", "kernels"):
        assert found(replace(GPU, packages=frozenset({package})), "broken", **asked, **half) == []
    assert found(replace(GPU, packages=frozenset({"flash-attn-3"})), "broken", **asked, **half) == [
        "model.attn_implementation=flash_attention_2 needs the package flash-attn, which is not installed"
    ]
    assert found(CPU, "broken", model=model(attn_implementation="sdpa")) == []


@pytest.mark.parametrize(
    ("machine", "trainer", "level", "line"),
    [
        (CPU, {"accelerator": "gpu"}, "broken", "trainer.accelerator=gpu, and there is no GPU"),
        (GPU, {"accelerator": "gpu", "devices": 2}, "broken", "trainer.devices=2, and there are 1 GPUs"),
        (GPU, {"devices": 1}, "ok", "torch 2.13.0 (CUDA 12.6), 1 x T4 (16 GB)"),
        (
            replace(CPU, has_driver=True),
            {"accelerator": "auto"},
            "warning",
            "an NVIDIA driver is loaded, and torch 2.13.0+cpu is a CPU build",
        ),
    ],
)
def test_devices(machine: Machine, trainer: dict[str, Any], level: str, line: str) -> None:
    assert found(machine, level, trainer=trainer) == [line]


def test_loader_workers_and_an_old_kernel() -> None:
    assert found(CPU, "warning", data={"num_workers": 8}) == [
        "data.num_workers=8, and this process may use 4 CPUs",
    ]
    old = replace(CPU, kernel="5.4.0")
    assert found(old, "warning", data={"num_workers": 1})[0].startswith("Linux kernel 5.4.0 is older than 5.5")
    assert found(old, "warning", data={"num_workers": 0}) == []


@pytest.mark.parametrize(("free", "level"), [(0.2, "broken"), (3.0, "warning"), (50.0, "ok")])
def test_disk_space(free: float, level: str) -> None:
    assert found(replace(CPU, free_disk_gb={"runs": free}), level) == [f"{free:.1f} GB free on the disk of runs"]


def test_the_machine_at_hand_can_be_read(tmp_path: Path) -> None:
    machine = read_machine({"runs": tmp_path / "not" / "there" / "yet", "cached rows": tmp_path})
    assert list(machine.free_disk_gb) == ["runs, cached rows"]  # one disk, named once
    assert machine.num_cpus >= 1
    assert "peft" in machine.packages
