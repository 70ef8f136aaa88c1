"""Bytes that generation holds at its end: the keys and values of all rows and beams.

In: the shape of a model and the size of an evaluation batch. Out: bytes. Validation inside `fit` generates beside the
optimizer's moments; with many rows or beams it, and not the training step, is what runs out of memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from kosum_pl.commands.plan.shapes import ModelShape, Numerics


@dataclass(frozen=True, kw_only=True)
class GenerationShape:
    """The largest evaluation batch.

    Attributes:
        num_rows: Its rows, each as often as it has beams.
        source_length: Tokens of a row that the encoder reads; 0 for a causal model.
        target_length: Tokens of a row that the decoder has read and written.
    """

    num_rows: int
    source_length: int = 0
    target_length: int


def cache_bytes(shape: ModelShape, generation: GenerationShape, numerics: Numerics) -> int:
    """Bytes of the keys and values.

    Args:
        shape: The model.
        generation: The batch.
        numerics: Dtypes of the run.
    """
    elements = 0
    for layer in shape.decoder:
        elements += 2 * layer.key_value * generation.target_length
        if layer.has_cross_attention:
            elements += 2 * layer.query * generation.source_length
    return generation.num_rows * elements * numerics.compute_bytes
