"""What torch and the system say where memory runs out, word by word."""

from __future__ import annotations

import torch

CUDA_MESSAGE = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.65 GiB of which 1.12 GiB is "
    "free. Process 1234 has 22.52 GiB memory in use. Of the allocated memory 21.00 GiB is allocated by PyTorch, and "
    "1.02 GiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is large try setting "
    "PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for Memory Management  "
    "(https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
)
CUBLAS_MESSAGE = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
CPU_MESSAGE = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate "
    "1125899906842624 bytes. Error code 12 (Cannot allocate memory)"
)


def cuda_error() -> RuntimeError:
    """As the CUDA allocator raises it."""
    return torch.OutOfMemoryError(CUDA_MESSAGE)


def exhaust_cpu() -> None:
    """Ask for 1 PiB, which no machine has: a real error of torch's own allocator."""
    torch.empty(1 << 50, dtype=torch.uint8)
