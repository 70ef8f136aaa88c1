"""What a training step's memory depends on: widths of a model, lengths of a batch, dtypes of a run.

In: numbers read off a model's modules and a config. Out: frozen values that `storage.py`, `activations.py` and
`memory.py` count with. They know no model, so that the arithmetic can be asked about shapes that nobody has built.
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
        query: All query heads together.
        key_value: All key heads together, as many as the value heads.
        num_parameters: Of its linear layers; `largest_linear` of the largest of them.
        attention_in: Readers of the attention's input, and so on for each tensor that linear layers read;
            `cross_memory` is the encoder's output.
        is_gated: Whether the activation is multiplied by a second projection.
        is_relu: Whether the activation keeps its result instead of its argument.
        is_layer_norm: LayerNorm, else RMSNorm.
        num_norms: Norms of the residual stream.
        has_head_norms: Whether queries and keys are normed as well.
        num_dropouts: Dropouts of the residual stream's width.
        has_activation_dropout: Whether there is one of the MLP's width.
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
class ModelShape:
    """What of a model takes memory.

    Attributes:
        hidden: Width of what the output head reads; `vocab_size` are its rows.
        encoder: Layers of an encoder; empty for a causal model.
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
    """Rows and lengths of a batch of training or of generation, where a row counts once for each of its beams.

    Attributes:
        source_length: Tokens of a row that the encoder reads; 0 for a causal model.
        target_length: Tokens of a row that the decoder reads and writes.
        num_supervised: Positions with a loss, in all rows.
    """

    num_rows: int
    source_length: int = 0
    target_length: int
    num_supervised: int = 0


@dataclass(frozen=True, kw_only=True)
class StepSettings:
    """What a run does with its model: dtypes, in bytes, what is trained, and what is kept.

    Attributes:
        weight_bytes: Of a weight that is not quantized.
        compute_bytes: Of a product of matrices: 2 under autocast.
        is_autocast: Whether products are narrower than the weights may be: `bf16-mixed`, `16-mixed`.
        is_base_trained: Whether the weights themselves are trained, and not adapters beside them.
        has_adapter_dropout: Whether an adapter's input is dropped, in a copy for each.
        mask_bytes: Of one element of a dropout mask: 1 on a GPU, the tensor's own size on a CPU.
        has_padding: Whether the batch's rows differ in length, so that there is a mask.
        quantization: `none`, `nf4` or `int8`; `is_double`: of nf4, quantize the scales too.
        is_checkpointed: Whether layers are computed again in the backward pass.
        is_accumulated: Whether gradients of earlier micro-batches are there in the forward pass.
    """

    weight_bytes: int
    compute_bytes: int
    is_autocast: bool = False
    is_base_trained: bool = True
    adapter_rank: int = 0
    adapter_bytes: int = FP32
    has_adapter_dropout: bool = False
    mask_bytes: int = 1
    has_padding: bool = True
    quantization: str = "none"
    is_double: bool = True
    optimizer: str = "adamw"
    is_checkpointed: bool = False
    is_accumulated: bool = False
    is_smoothed: bool = False

    @property
    def trained_bytes(self) -> int:
        """Of a trained weight."""
        return self.weight_bytes if self.is_base_trained else self.adapter_bytes

    @property
    def has_weight_copies(self) -> bool:
        """Whether every product casts its weight, and the backward pass keeps the copy."""
        return self.is_autocast and self.weight_bytes != self.compute_bytes

    def stream_bytes(self, layer: LayerShape) -> int:
        """Of an element of the residual stream; autocast computes LayerNorm in fp32."""
        return FP32 if self.is_autocast and layer.is_layer_norm else self.weight_bytes

    def widens_adapter_input(self, source_bytes: int) -> bool:
        """Whether an fp32 adapter beside a 16-bit base widens what it reads, an element of so many bytes.

        Autocast narrows it again; nf4 layers leave it to autocast.
        """
        is_left = self.is_autocast and self.quantization == "nf4"
        return not self.is_base_trained and self.adapter_bytes != source_bytes and not is_left
