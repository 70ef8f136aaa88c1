"""What a training step's memory depends on: widths of a model, lengths of a batch, dtypes of a run.

In: numbers read off a model's modules and a config. Out: frozen values that `activations.py` and `memory.py` count
with. They know no model, so that the arithmetic can be asked about shapes that nobody has built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

FP32: Final = 4


class Reads(NamedTuple):
    """Linear layers that read one tensor: how many, and how many of them have an adapter."""

    num_linears: int = 0
    num_adapted: int = 0


_NONE: Final = Reads()
_ONE: Final = Reads(1)
_TWO: Final = Reads(2)
_THREE: Final = Reads(3)


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """Widths of one layer, per token.

    Attributes:
        hidden: Of the residual stream.
        query: All query heads together.
        key_value: All key heads together, as many as the value heads.
        intermediate: Of the MLP.
        num_heads: Query heads.
        num_parameters: Of its linear layers.
        largest_linear: Parameters of the largest of them.
        attention_in: Readers of the attention's input.
        attention_out: Readers of its output.
        cross_query: Readers of the cross-attention's input.
        cross_memory: Readers of the encoder's output.
        cross_out: Readers of the cross-attention's output.
        mlp_in: Readers of the MLP's input.
        mlp_out: Readers of its activations.
        is_gated: Whether the activation is multiplied by a second projection.
        is_relu: Whether the activation keeps its result instead of its argument.
        is_layer_norm: LayerNorm, else RMSNorm.
        num_norms: Norms of the residual stream.
        has_head_norms: Whether queries and keys are normed as well.
        num_dropouts: Dropouts of the residual stream's width.
        has_activation_dropout: Whether there is one of the MLP's width.
        has_attention_dropout: Whether attention weights are dropped.
        has_position_bias: Whether attention adds a trained bias for each head and pair of positions (T5).
        is_eager: Whether attention weights are computed as a tensor of their own.
    """

    hidden: int
    query: int
    key_value: int
    intermediate: int
    num_heads: int
    num_parameters: int = 0
    largest_linear: int = 0
    attention_in: Reads = _THREE
    attention_out: Reads = _ONE
    cross_query: Reads = _NONE
    cross_memory: Reads = _NONE
    cross_out: Reads = _NONE
    mlp_in: Reads = _TWO
    mlp_out: Reads = _ONE
    is_gated: bool = True
    is_relu: bool = False
    is_layer_norm: bool = False
    num_norms: int = 2
    has_head_norms: bool = False
    num_dropouts: int = 0
    has_activation_dropout: bool = False
    has_attention_dropout: bool = False
    has_position_bias: bool = False
    is_eager: bool = False

    @property
    def has_cross_attention(self) -> bool:
        """Whether it attends to an encoder's output."""
        return self.cross_query.num_linears > 0

    @property
    def num_adapted(self) -> int:
        """Linear layers with an adapter."""
        every = (self.attention_in, self.attention_out, self.cross_query, self.cross_memory, self.cross_out)
        return sum(reads.num_adapted for reads in (*every, self.mlp_in, self.mlp_out))


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Dtypes of a run, in bytes, and what is trained.

    Attributes:
        weight_bytes: Of a weight that is not quantized.
        compute_bytes: Of a product of matrices: 2 under autocast.
        is_autocast: Whether products are narrower than the weights may be: `bf16-mixed`, `16-mixed`.
        is_base_trained: Whether the weights themselves are trained, and not adapters beside them.
        adapter_rank: Columns of the adapters.
        adapter_bytes: Of an adapter's weight.
        has_adapter_dropout: Whether an adapter's input is dropped, in a copy for each.
        is_four_bit: Whether the base is nf4, whose layers cast an adapter's input less often.
        is_eight_bit: Whether the base is int8, whose layers keep their input.
        mask_bytes: Of one element of a dropout mask: 1 on a GPU, the tensor's own size on a CPU.
        has_padding: Whether the batch's rows differ in length, so that there is a mask.
    """

    weight_bytes: int
    compute_bytes: int
    is_autocast: bool = False
    is_base_trained: bool = True
    adapter_rank: int = 0
    adapter_bytes: int = FP32
    has_adapter_dropout: bool = False
    is_four_bit: bool = False
    is_eight_bit: bool = False
    mask_bytes: int = 1
    has_padding: bool = True

    def stream_bytes(self, *, is_layer_norm: bool) -> int:
        """Of an element of the residual stream; autocast computes LayerNorm in fp32."""
        return FP32 if self.is_autocast and is_layer_norm else self.weight_bytes

    def widens_adapter_input(self, source_bytes: int) -> bool:
        """Whether an fp32 adapter beside a 16-bit base widens what it reads; autocast narrows it again.

        Args:
            source_bytes: Of an element of what it reads.
        """
        is_left = self.is_autocast and self.is_four_bit
        return not self.is_base_trained and self.adapter_bytes != source_bytes and not is_left

    @property
    def has_weight_copies(self) -> bool:
        """Whether every product casts its weight, and the backward pass keeps the copy."""
        return self.is_autocast and self.weight_bytes != self.compute_bytes


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What of a model takes memory.

    Attributes:
        hidden: Width of what the output head reads.
        vocab_size: Rows of the output head.
        encoder: Layers of an encoder; empty for a causal model.
        decoder: Layers of the decoder.
        linears: (rows, columns) of the weights that a quantization takes.
        num_other: Parameters of the base that it leaves: embeddings, head, norms and biases.
        adapter: Elements of each adapter tensor; empty where the base is trained.
        base: Elements of each tensor of the base, `linears` and the others.
        is_tied: Whether the output head is the embedding.
    """

    hidden: int
    vocab_size: int
    encoder: tuple[LayerShape, ...] = ()
    decoder: tuple[LayerShape, ...]
    linears: tuple[tuple[int, int], ...]
    num_other: int
    adapter: tuple[int, ...] = ()
    base: tuple[int, ...]
    is_tied: bool = False

    @property
    def trained(self) -> tuple[int, ...]:
        """Elements of each trained tensor."""
        return self.adapter or self.base

    @property
    def num_base(self) -> int:
        """Parameters of the base."""
        return sum(self.base)


@dataclass(frozen=True, kw_only=True)
class BatchShape:
    """The largest batch.

    Attributes:
        num_rows: Its rows.
        source_length: Tokens of a row that the encoder reads; 0 for a causal model.
        target_length: Tokens of a row that the decoder reads.
        num_supervised: Positions with a loss, in all rows.
    """

    num_rows: int
    source_length: int = 0
    target_length: int
    num_supervised: int
