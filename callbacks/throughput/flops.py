"""Floating-point operations of a training step, from widths and lengths.

In: a model's matrices and attention widths, and the sizes of a batch. Out: multiplications and additions of matrix
products, forward and backward. Counting them by hooks would slow down what is measured; here it is one line of
arithmetic a batch, held against a counter of real products by the tests.

A matrix of P elements costs 2 P a token forward, 2 P for the gradient of its input, and 2 P for its own if it is
trained. Attention costs 4 W a pair of positions forward (scores and mixing, W the width of all its query heads) and
twice that backward; the whole square counts, a causal mask included. Norms, softmax, dropout and embeddings are left
out, as is everywhere done.

Source:
    Kaplan et al. 2020, Scaling Laws for Neural Language Models, section 2.1 (6 P a token); Chowdhery et al. 2022, PaLM,
    appendix B (12 W for each layer and pair of positions); Hu et al. 2021 (LoRA leaves the base without gradients).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from kosum_pl.encode import Batch

# Keys and values of cross-attention read the encoder's output: BART, T5, BERT-likes, with and without an adapter.
_CROSS: Final = re.compile(r"(^|\.)(encoder_attn|encdecattention|cross_?attn|cross_?attention|encoder_attention)\.")
_KEY_VALUE: Final = re.compile(r"\.(k|v|k_proj|v_proj|key|value)(\.|$)")
_QUERY: Final = re.compile(r"(^|\.)(q|q_proj|query)(\.base_layer)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLengths:
    """Sizes of a batch as its model reads it, from shapes and the collator's counts: no device is waited for.

    Attributes:
        num_rows: Rows, padded to the same lengths.
        source_length: Tokens of a row in the encoder; 0 for a causal model.
        target_length: Tokens of a row in the decoder.
        num_supervised: Positions with a loss, in all rows.
    """

    num_rows: int
    source_length: int = 0
    target_length: int
    num_supervised: int

    @property
    def num_padded(self) -> int:
        """Tokens that are computed, padding included."""
        return self.num_rows * (self.source_length + self.target_length)


def batch_lengths(batch: Batch, *, is_causal: bool) -> BatchLengths:
    """Sizes of a training batch, whose labels stand beside the inputs (causal) or are a target of their own."""
    num_rows, length = batch.input_ids.shape
    labels_length = batch.labels.shape[1] if batch.labels is not None else 0
    return BatchLengths(
        num_rows=num_rows,
        source_length=0 if is_causal else length,
        target_length=length if is_causal else labels_length,
        num_supervised=batch.num_supervised_tokens,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrices:
    """Elements of matrices that multiply the same tokens.

    Attributes:
        trained: Of those with a gradient.
        frozen: Of those without.
        has_backward: Whether a gradient flows through them at all.
    """

    trained: int = 0
    frozen: int = 0
    has_backward: bool = True

    def flops(self, *, is_recomputed: bool) -> int:
        """Operations a token; recomputed matrices are computed forward once more in the backward pass.

        Example:
            >>> Matrices(trained=10).flops(is_recomputed=False), Matrices(frozen=10).flops(is_recomputed=True)
            (60, 60)
        """
        forward = 2 * (self.trained + self.frozen)
        if not self.has_backward:
            return forward
        return forward * (3 if is_recomputed else 2) + 2 * self.trained


@dataclass(frozen=True, slots=True, kw_only=True)
class FlopShape:
    """What of a model costs operations.

    Attributes:
        source: The encoder's matrices, which read the source.
        memory: Keys and values of the decoder's cross-attention, which read the encoder's output.
        target: Matrices that read the decoder's tokens.
        head: The output head, which reads supervised positions alone.
        encoder_attention: Widths of all query heads, summed over the encoder's layers.
        decoder_attention: The same of the decoder's self-attention.
        cross_attention: The same of its cross-attention.
        is_recomputed: Whether layers are computed again in the backward pass (gradient checkpointing).
    """

    source: Matrices = Matrices()
    memory: Matrices = Matrices()
    target: Matrices = Matrices()
    head: Matrices = Matrices()
    encoder_attention: int = 0
    decoder_attention: int = 0
    cross_attention: int = 0
    is_recomputed: bool = False


def step_flops(shape: FlopShape, lengths: BatchLengths) -> int:
    """Operations of a micro-batch, forward and backward; padding is computed like text.

    Example:
        >>> shape = FlopShape(target=Matrices(trained=100), head=Matrices(trained=50), decoder_attention=8)
        >>> step_flops(shape, BatchLengths(num_rows=2, target_length=3, num_supervised=4))
        6528
    """
    rows, source, target = lengths.num_rows, lengths.source_length, lengths.target_length
    again = shape.is_recomputed
    passes = 4 if again else 3
    encoder_passes = passes if shape.source.has_backward else 1
    pairs = (
        encoder_passes * shape.encoder_attention * source * source
        + passes * shape.decoder_attention * target * target
        + passes * shape.cross_attention * target * source
    )
    matrices = (
        (shape.source.flops(is_recomputed=again) + shape.memory.flops(is_recomputed=again)) * rows * source
        + shape.target.flops(is_recomputed=again) * rows * target
        + shape.head.flops(is_recomputed=False) * lengths.num_supervised
    )
    return matrices + 4 * rows * pairs


def flop_shape(model: Any) -> FlopShape:
    """What of a transformers model costs operations, adapters included.

    Two things are counted that are not computed: a gradient of the first layer's input where embeddings are frozen,
    and a second forward pass of each recomputed layer's last matrix, whose result nobody needs. Mixtures of experts
    keep their matrices in stacks that are no layers of their own, and are not counted.

    Args:
        model: With its weights; a quantized weight counts as the matrix it stands for.
    """
    encoder = model.get_encoder() if model.config.is_encoder_decoder else None
    in_encoder = set(map(id, encoder.modules())) if encoder is not None else set()
    head = model.get_output_embeddings()
    in_head = set(map(id, head.modules())) if head is not None else set()
    trained, frozen, widths = Counter[str](), Counter[str](), Counter[str]()
    for name, layer, num_elements in _matrices(model):
        is_cross = _CROSS.search(name.lower()) is not None
        if id(layer) in in_head:
            part = "head"
        elif id(layer) in in_encoder:
            part = "source"
        else:
            part = "memory" if is_cross and _KEY_VALUE.search(name.lower()) else "target"
        (trained if layer.weight.requires_grad else frozen)[part] += num_elements
        if _QUERY.search(name):
            attention = "encoder" if part == "source" else "cross" if is_cross else "decoder"
            widths[f"{attention}_attention"] += int(layer.out_features)
    if not widths["decoder_attention"]:  # queries, keys and values are one matrix, or have a name of their own
        config = model.config.get_text_config()
        widths["decoder_attention"] = int(config.hidden_size * config.num_hidden_layers)
    learns_source = encoder is None or any(weight.requires_grad for weight in encoder.parameters())
    parts: dict[str, Any] = {
        part: Matrices(trained=trained[part], frozen=frozen[part]) for part in ("memory", "target", "head")
    }
    return FlopShape(
        source=Matrices(trained=trained["source"], frozen=frozen["source"], has_backward=learns_source),
        is_recomputed=bool(getattr(model, "is_activation_checkpointing", False)),
        **(parts | widths),
    )


def _matrices(model: nn.Module) -> Iterator[tuple[str, Any, int]]:
    """Layers that multiply by a matrix, with its elements: what is packed into fewer is not what is multiplied."""
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            yield name, layer, layer.in_features * layer.out_features
        elif type(layer).__name__ == "Conv1D" and isinstance(layer.weight, nn.Parameter):  # GPT-2's linear layer
            yield name, layer, layer.weight.numel()
