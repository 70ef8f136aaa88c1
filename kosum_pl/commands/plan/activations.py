"""Bytes that one transformer layer keeps between its forward and its backward pass.

In: the widths of a layer, a batch's lengths and the dtypes of a run. Out: bytes, counted operation by operation: what
autograd saves is a property of the operations, and the same for every weight. Pure arithmetic: no model, no torch.
"""

from __future__ import annotations

from kosum_pl.commands.plan.shapes import FP32, LayerShape, Reads, StepSettings


def layer_bytes(layer: LayerShape, step: StepSettings, *, num_rows: int, length: int, memory_length: int = 0) -> int:
    """Bytes that a layer saves for its backward pass.

    Lengths are tokens of a row; `memory_length` are those that the encoder has read, for cross-attention.
    """
    stream, compute, is_eager = step.stream_bytes(layer), step.compute_bytes, layer.is_eager
    token = layer.num_norms * norm_bytes(layer, layer.hidden, step)
    token += layer.num_dropouts * layer.hidden * step.mask_bytes + _mlp_bytes(layer, step)
    for reads in (layer.attention_in, layer.mlp_in, layer.cross_query):
        token += _input_bytes(reads, layer.hidden, step, source_bytes=stream)
    token += _input_bytes(layer.attention_out, layer.query, step, source_bytes=compute, is_kept=not is_eager)
    if not step.is_base_trained:
        token += layer.num_adapted * step.adapter_rank * (compute if step.is_autocast else step.adapter_bytes)
    row = _attention_bytes(layer, step, length=length, memory_length=length)
    if layer.has_cross_attention:
        row += _attention_bytes(layer, step, length=length, memory_length=memory_length, is_cross=True)
        # The encoder's output is one tensor for all layers; only copies of it are this layer's own.
        memory = _input_bytes(layer.cross_memory, layer.hidden, step, source_bytes=stream, is_kept=True)
        row += memory_length * memory
        token += _input_bytes(layer.cross_out, layer.query, step, source_bytes=compute, is_kept=not is_eager)
    return num_rows * (length * token + row)


def norm_bytes(layer: LayerShape, width: int, step: StepSettings) -> int:
    """Bytes a token that a norm saves: its argument, statistics, and for a trained RMSNorm the normed argument."""
    stream = step.stream_bytes(layer)
    if layer.is_layer_norm:
        return width * stream + 2 * FP32
    # RMSNorm squares an fp32 copy of its argument; only a trained weight needs what it is multiplied with.
    return width * FP32 + FP32 + (width * stream if step.is_base_trained else 0)


def working_bytes(layer: LayerShape, step: StepSettings, *, tokens: int) -> int:
    """Bytes of gradients inside one layer's backward pass, beside what it saved."""
    widths = layer.intermediate * step.compute_bytes * (2 if layer.is_gated else 1)
    if layer.mlp_out.num_adapted and step.widens_adapter_input(step.compute_bytes):
        # The widened input of the last adapter, and what dropout makes of it, forward as backward.
        widths = max(widths, layer.intermediate * step.adapter_bytes * (1 + step.has_adapter_dropout))
    return tokens * (widths + 2 * layer.hidden * step.stream_bytes(layer))


def _mlp_bytes(layer: LayerShape, step: StepSettings) -> int:
    """Bytes a token: gate, activation and second projection, or the activation's argument; and what is read next."""
    compute, is_result_kept = step.compute_bytes, layer.is_relu and not layer.is_gated
    num_kept = (2 if layer.is_relu else 3) if layer.is_gated else 1
    kept = layer.intermediate * (num_kept * compute + layer.has_activation_dropout * step.mask_bytes)
    is_read_next = is_result_kept and not layer.has_activation_dropout
    return kept + _input_bytes(layer.mlp_out, layer.intermediate, step, source_bytes=compute, is_kept=is_read_next)


def _attention_bytes(
    layer: LayerShape, step: StepSettings, *, length: int, memory_length: int, is_cross: bool = False
) -> int:
    """Bytes a row: queries, keys, values and what the attention function keeps."""
    compute = step.compute_bytes
    # With a mask, keys and values are repeated for every query head.
    key_value = layer.query if step.has_padding or layer.is_eager else layer.key_value
    total = compute * (length * layer.query + 2 * memory_length * key_value)
    if layer.has_head_norms and not is_cross:
        per_token = FP32 + (compute if step.is_base_trained else 0)
        total += length * (layer.query + layer.key_value) * per_token
    pairs = length * memory_length
    if layer.is_eager:
        per_pair = FP32 + (compute if compute != FP32 else 0)
        if layer.has_attention_dropout:
            per_pair += step.mask_bytes + compute
        return total + pairs * layer.num_heads * per_pair
    total += length * (layer.query * compute + layer.num_heads * FP32)
    if layer.has_position_bias:  # with the mask in it, for every row and head, and each layer makes its own
        return total + pairs * layer.num_heads * compute
    return total + (pairs * compute if step.has_padding else 0)


def _input_bytes(reads: Reads, width: int, step: StepSettings, *, source_bytes: int, is_kept: bool = False) -> int:
    """Bytes a token of what linear layers save of their common input.

    `source_bytes` are of the input's element before any cast; `is_kept` says that another operation saved it already.
    """
    is_cast = source_bytes != step.compute_bytes
    shared = 0 if is_kept else width * source_bytes
    if step.is_base_trained:  # autocast caches casts of weights, never of activations: a copy for each
        return reads.num_linears * width * step.compute_bytes if is_cast else shared if reads.num_linears else 0
    kept_by_base = shared if step.quantization == "int8" and reads.num_linears else 0  # nf4 needs weights alone
    if not reads.num_adapted:
        return kept_by_base
    element = step.compute_bytes if step.is_autocast else step.adapter_bytes
    if step.has_adapter_dropout:
        return kept_by_base + reads.num_adapted * width * (element + step.mask_bytes)
    if is_cast or step.widens_adapter_input(source_bytes):
        return kept_by_base + reads.num_adapted * width * element
    return shared
