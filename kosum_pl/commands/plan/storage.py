"""Bytes of what lies in memory between the steps, as the libraries really store it: weights, moments, keys and values.

In: sizes of tensors and the names of a quantization or an optimizer. Out: bytes, scales and tables of codes included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kosum_pl.commands.plan.shapes import FP32, BatchShape, ModelShape, StepSettings

_NF4_BLOCK: Final = 64
_NF4_OUTER_BLOCK: Final = 256
_NF4_CODES: Final = 16
_EIGHT_BIT_BLOCK: Final = 256
_EIGHT_BIT_CODES: Final = 256
_LEAST_EIGHT_BIT: Final = 4096  # smaller tensors keep fp32 moments


def weight_bytes(shape: ModelShape, step: StepSettings) -> int:
    """Bytes of the base; int8 has an fp32 scale for every row."""
    sizes = [rows * columns for rows, columns in shape.linears]
    if step.quantization == "nf4":
        linears = sum(nf4_bytes(size, is_double=step.is_double) for size in sizes)
    elif step.quantization == "int8":
        linears = sum(sizes) + FP32 * sum(rows for rows, _ in shape.linears)
    else:
        linears = step.weight_bytes * sum(sizes)
    return shape.num_other * step.weight_bytes + linears


def nf4_bytes(num_elements: int, *, is_double: bool) -> int:
    """Bytes of one nf4 weight: two elements a byte, a scale for each 64, and the table of codes.

    Example:
        >>> nf4_bytes(4096 * 4096, is_double=True) / (4096 * 4096) * 8, nf4_bytes(4096 * 4096, is_double=False)
        (4.127473831176758, 9437248)
    """
    blocks = -(-num_elements // _NF4_BLOCK)
    packed = -(-num_elements // 2) + _NF4_CODES * FP32
    if not is_double:
        return packed + blocks * FP32
    # A byte a scale; of these a scale for each 256, a table of 256 codes, and the mean that was taken off.
    return packed + blocks + (-(-blocks // _NF4_OUTER_BLOCK) + _EIGHT_BIT_CODES + 1) * FP32


def optimizer_bytes(sizes: Sequence[int], *, optimizer: str, parameter_bytes: int) -> int:
    """Bytes of AdamW's moments of tensors of so many elements.

    `adamw` keeps them in the parameter's dtype, bitsandbytes in fp32 or eight bits.
    """
    if optimizer == "adamw":
        return 2 * parameter_bytes * sum(sizes)
    if not optimizer.endswith("8bit"):
        return 2 * FP32 * sum(sizes)
    small = sum(size for size in sizes if size < _LEAST_EIGHT_BIT)
    large = [size for size in sizes if size >= _LEAST_EIGHT_BIT]
    scales = sum(-(-size // _EIGHT_BIT_BLOCK) for size in large)
    tables = _EIGHT_BIT_CODES if large else 0
    return 2 * (FP32 * (small + scales + tables) + sum(large))


def cache_bytes(shape: ModelShape, generation: BatchShape, step: StepSettings) -> int:
    """Bytes of the keys and values that generation has at its end.

    Validation inside `fit` generates beside the optimizer's moments; with many rows or beams it, and not the training
    step, is what runs out of memory.
    """
    elements = 0
    for layer in shape.decoder:
        elements += 2 * layer.key_value * generation.target_length
        if layer.has_cross_attention:
            elements += 2 * layer.query * generation.source_length
    return generation.num_rows * elements * step.compute_bytes
