"""Bytes that one transformer layer keeps between its forward and its backward pass.

In: the widths of a layer, a batch's lengths and the dtypes of a run. Out: bytes, counted operation by operation: what
autograd saves is a property of the operations, and the same for every weight. Pure arithmetic: no model, no torch.
"""

from __future__ import annotations

from kosum_pl.commands.plan.shapes import FP32, LayerShape, Numerics, Reads


def layer_bytes(layer: LayerShape, numerics: Numerics, *, num_rows: int, length: int, memory_length: int = 0) -> int:
    """Bytes that a layer saves for its backward pass.

    Args:
        layer: Its widths.
        numerics: Its dtypes.
        num_rows: Rows of the batch.
        length: Tokens of a row.
        memory_length: Tokens of a row that the encoder has read, for cross-attention.
    """
    tokens = num_rows * length
    stream = numerics.stream_bytes(is_layer_norm=layer.is_layer_norm)
    total = layer.num_norms * tokens * norm_bytes(layer.hidden, numerics, is_layer_norm=layer.is_layer_norm)
    total += tokens * (layer.num_dropouts * layer.hidden * numerics.mask_bytes + _mlp_bytes(layer, numerics))
    for reads in (layer.attention_in, layer.mlp_in, layer.cross_query):
        total += tokens * _input_bytes(reads, layer.hidden, numerics, source_bytes=stream)
    total += _attention_bytes(layer, numerics, num_rows=num_rows, length=length, memory_length=length)
    total += tokens * _input_bytes(
        layer.attention_out, layer.query, numerics, source_bytes=numerics.compute_bytes, is_kept=not layer.is_eager
    )
    if layer.has_cross_attention:
        total += _cross_bytes(layer, numerics, num_rows=num_rows, length=length, memory_length=memory_length)
    if not numerics.is_base_trained:
        width = numerics.compute_bytes if numerics.is_autocast else numerics.adapter_bytes
        total += tokens * layer.num_adapted * numerics.adapter_rank * width
    return total


def norm_bytes(width: int, numerics: Numerics, *, is_layer_norm: bool) -> int:
    """Bytes a token that a norm saves: its argument, statistics, and for a trained RMSNorm the normed argument."""
    stream = numerics.stream_bytes(is_layer_norm=is_layer_norm)
    if is_layer_norm:
        return width * stream + 2 * FP32
    # RMSNorm squares an fp32 copy of its argument; only a trained weight needs what it is multiplied with.
    return width * FP32 + FP32 + (width * stream if numerics.is_base_trained else 0)


def working_bytes(layer: LayerShape, numerics: Numerics, *, tokens: int) -> int:
    """Bytes of gradients inside one layer's backward pass, beside what it saved."""
    stream = numerics.stream_bytes(is_layer_norm=layer.is_layer_norm)
    widths = layer.intermediate * numerics.compute_bytes * (2 if layer.is_gated else 1)
    if layer.mlp_out.num_adapted and numerics.widens_adapter_input(numerics.compute_bytes):
        # The widened input of the last adapter, and what dropout makes of it, forward as backward.
        widths = max(widths, layer.intermediate * numerics.adapter_bytes * (1 + numerics.has_adapter_dropout))
    return tokens * (widths + 2 * layer.hidden * stream)


def _mlp_bytes(layer: LayerShape, numerics: Numerics) -> int:
    """Bytes a token: gate, activation and second projection, or the activation's argument; and what is read next."""
    compute = numerics.compute_bytes
    kept = 0 if layer.is_relu else layer.intermediate * (3 if layer.is_gated else 1) * compute
    is_result_kept = layer.is_relu and not layer.is_gated
    if is_result_kept:
        kept += layer.intermediate * compute
    elif layer.is_relu:
        kept += layer.intermediate * 2 * compute
    if layer.has_activation_dropout:
        kept += layer.intermediate * numerics.mask_bytes
    return kept + _input_bytes(
        layer.mlp_out,
        layer.intermediate,
        numerics,
        source_bytes=compute,
        is_kept=is_result_kept and not layer.has_activation_dropout,
    )


def _attention_bytes(
    layer: LayerShape, numerics: Numerics, *, num_rows: int, length: int, memory_length: int, is_cross: bool = False
) -> int:
    """Queries, keys, values and what the attention function keeps."""
    compute = numerics.compute_bytes
    # With a mask, keys and values are repeated for every query head.
    key_value = layer.query if numerics.has_padding or layer.is_eager else layer.key_value
    total = num_rows * compute * (length * layer.query + 2 * memory_length * key_value)
    if layer.has_head_norms and not is_cross:
        per_token = FP32 + (compute if numerics.is_base_trained else 0)
        total += num_rows * length * (layer.query + layer.key_value) * per_token
    pairs = num_rows * length * memory_length
    if layer.is_eager:
        per_pair = FP32 + (compute if compute != FP32 else 0)
        if layer.has_attention_dropout:
            per_pair += numerics.mask_bytes + compute
        return total + pairs * layer.num_heads * per_pair
    total += num_rows * length * (layer.query * compute + layer.num_heads * FP32)
    if layer.has_position_bias:  # with the mask in it, for every row and head, and each layer makes its own
        return total + pairs * layer.num_heads * compute
    return total + (pairs * compute if numerics.has_padding else 0)


def _cross_bytes(layer: LayerShape, numerics: Numerics, *, num_rows: int, length: int, memory_length: int) -> int:
    stream = numerics.stream_bytes(is_layer_norm=layer.is_layer_norm)
    total = _attention_bytes(
        layer, numerics, num_rows=num_rows, length=length, memory_length=memory_length, is_cross=True
    )
    # The encoder's output is one tensor for all layers; only copies of it are this layer's own.
    total += (
        num_rows
        * memory_length
        * _input_bytes(layer.cross_memory, layer.hidden, numerics, source_bytes=stream, is_kept=True)
    )
    return total + num_rows * length * _input_bytes(
        layer.cross_out, layer.query, numerics, source_bytes=numerics.compute_bytes, is_kept=not layer.is_eager
    )


def _input_bytes(reads: Reads, width: int, numerics: Numerics, *, source_bytes: int, is_kept: bool = False) -> int:
    """Bytes a token of what linear layers save of their common input.

    Args:
        reads: The layers.
        width: Of their input.
        numerics: The dtypes.
        source_bytes: Of the input's element, before any cast.
        is_kept: Whether another operation has saved the input already.
    """
    is_cast = source_bytes != numerics.compute_bytes
    shared = 0 if is_kept else width * source_bytes
    if numerics.is_base_trained:  # autocast caches casts of weights, never of activations: a copy for each
        return reads.num_linears * width * numerics.compute_bytes if is_cast else shared if reads.num_linears else 0
    kept_by_base = shared if numerics.is_eight_bit and reads.num_linears else 0
    if not reads.num_adapted:
        return kept_by_base
    element = numerics.compute_bytes if numerics.is_autocast else numerics.adapter_bytes
    is_converted = numerics.widens_adapter_input(source_bytes)
    if numerics.has_adapter_dropout:
        return kept_by_base + reads.num_adapted * width * (element + numerics.mask_bytes)
    if is_cast or is_converted:
        return kept_by_base + reads.num_adapted * width * element
    return shared
