"""Bytes of weights and of an optimizer's moments, as the libraries really store them.

In: sizes of tensors and the names of a quantization or an optimizer. Out: bytes, scales and tables of codes included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kosum_pl.commands.plan.shapes import FP32

_NF4_BLOCK: Final = 64
_NF4_OUTER_BLOCK: Final = 256
_NF4_CODES: Final = 16
_EIGHT_BIT_BLOCK: Final = 256
_EIGHT_BIT_CODES: Final = 256
_LEAST_EIGHT_BIT: Final = 4096  # smaller tensors keep fp32 moments


def linear_bytes(linears: Sequence[tuple[int, int]], *, quantization: str, is_double: bool, weight_bytes: int) -> int:
    """Bytes of the weights that a quantization takes.

    Args:
        linears: (rows, columns) of each.
        quantization: `none`, `nf4`, or `int8` with an fp32 scale for every row.
        is_double: Of nf4: quantize the scales too.
        weight_bytes: Of a weight that is not quantized.
    """
    if quantization == "nf4":
        return sum(nf4_bytes(rows * columns, is_double=is_double) for rows, columns in linears)
    if quantization == "int8":
        return sum(rows * columns + rows * FP32 for rows, columns in linears)
    return weight_bytes * sum(rows * columns for rows, columns in linears)


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
    """Bytes of AdamW's moments.

    Args:
        sizes: Elements of each trained tensor.
        optimizer: `adamw` keeps them in the parameter's dtype, bitsandbytes in fp32 or eight bits.
        parameter_bytes: Of a parameter.
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
