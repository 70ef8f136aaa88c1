"""How much work a batch is: rows, and tokens of three kinds.

In: a collated `Batch`. Out: plain integers. They come from lengths the collator knew and from shapes, never from a
tensor's values, so that counting does not wait for a device.
"""

from __future__ import annotations

from dataclasses import dataclass

from kosum_pl.encode import Batch


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCounts:
    """What a batch, or several of them, holds.

    Attributes:
        rows: Dialogues.
        real_tokens: Tokens that are text: of the source, and of a Seq2Seq model's target.
        padded_tokens: Places of the padded tensors, `real_tokens` among them: what the device computes.
        supervised_tokens: Tokens that are learnt.
        flops: Floating-point operations of their training, 0 where nobody knows.

    Example:
        >>> one = BatchCounts(rows=2, real_tokens=9, padded_tokens=12, supervised_tokens=4)
        >>> (one + one).real_tokens, one.padding_ratio
        (18, 0.25)
    """

    rows: int = 0
    real_tokens: int = 0
    padded_tokens: int = 0
    supervised_tokens: int = 0
    flops: int = 0

    def __add__(self, other: BatchCounts) -> BatchCounts:
        return BatchCounts(
            rows=self.rows + other.rows,
            real_tokens=self.real_tokens + other.real_tokens,
            padded_tokens=self.padded_tokens + other.padded_tokens,
            supervised_tokens=self.supervised_tokens + other.supervised_tokens,
            flops=self.flops + other.flops,
        )

    @property
    def padding_ratio(self) -> float:
        """Share of the padded tokens that are padding; 0 where there are none."""
        return 1 - self.real_tokens / self.padded_tokens if self.padded_tokens else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLengths:
    """Sizes of a batch as its model reads it.

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


def batch_lengths(batch: Batch, *, is_causal: bool) -> BatchLengths:
    """Sizes of a training batch.

    Args:
        batch: As the collator made it.
        is_causal: Whether labels stand beside the inputs, or are a target of their own.
    """
    num_rows, length = batch.input_ids.shape
    target_length = batch.labels.shape[1] if batch.labels is not None else 0
    return BatchLengths(
        num_rows=num_rows,
        source_length=0 if is_causal else length,
        target_length=length if is_causal else target_length,
        num_supervised=batch.num_supervised_tokens,
    )


def count_batch(batch: Batch, *, is_causal: bool, flops: int = 0) -> BatchCounts:
    """Rows and tokens of a training batch.

    Args:
        batch: As the collator made it.
        is_causal: Whether labels stand beside the inputs, or are a target of their own.
        flops: Operations of its training.
    """
    lengths = batch_lengths(batch, is_causal=is_causal)
    return BatchCounts(
        rows=lengths.num_rows,
        real_tokens=batch.num_real_tokens,
        padded_tokens=lengths.num_rows * (lengths.source_length + lengths.target_length),
        supervised_tokens=batch.num_supervised_tokens,
        flops=flops,
    )
