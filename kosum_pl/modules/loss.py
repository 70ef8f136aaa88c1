"""Cross-entropy at supervised positions only.

In: a model, its forward arguments and labels. Out: the logits of the supervised positions, (N, V), and the sum of
their losses. A prompt is several times longer than its summary and a vocabulary has 30k to 260k entries: logits
of positions where nothing is learnt are most of a training step's memory, and here they are never computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kosum_pl.types import IGNORE_INDEX


@contextmanager
def head_at_positions(head: nn.Module, positions: Tensor) -> Iterator[None]:
    """Let an output head see only some positions of what flows into it.

    A hook on the head leaves everything a model does around it in place (T5's scaling before, Gemma's soft cap or
    BART's bias after), so one piece of code serves every architecture.

    Args:
        head: The output embedding, called with hidden states of shape (B, T, H).
        positions: Indices into the flattened (B * T) positions, shape (N,).

    Yields:
        Nothing; inside, the head returns logits of shape (N, V).
    """

    def select(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        hidden, *rest = arguments
        return (hidden.flatten(0, -2).index_select(0, positions), *rest)

    handle = head.register_forward_pre_hook(select)
    try:
        yield
    finally:
        handle.remove()


def supervised_positions(targets: Tensor, *, num_supervised: int) -> Tensor:
    """Flat indices of the positions with a label, shape (N,).

    Args:
        targets: What every position shall predict, `IGNORE_INDEX` for nothing, (B, T).
        num_supervised: N, known from the collator, so that the device is not waited for.
    """
    return torch.nonzero_static(targets.flatten() != IGNORE_INDEX, size=num_supervised).squeeze(1)


def supervised_logits(
    model: nn.Module, targets: Tensor, *, num_supervised: int, **inputs: Any
) -> tuple[Tensor, Tensor]:
    """Logits and targets of the supervised positions: (N, V) and (N,).

    `targets`, (B, T), are already shifted; N of them are not `IGNORE_INDEX`.
    """
    positions = supervised_positions(targets, num_supervised=num_supervised)
    with head_at_positions(model.get_output_embeddings(), positions):  # type: ignore[operator]
        logits = model(**inputs, use_cache=False).logits
    return logits, targets.flatten().index_select(0, positions)


def next_token_targets(labels: Tensor) -> Tensor:
    """What each position of a causal LM shall predict: the labels one to the left, (B, T).

    Example:
        >>> next_token_targets(torch.tensor([[-100, 5, 6]])).tolist()
        [[5, 6, -100]]
    """
    return functional.pad(labels[:, 1:], (0, 1), value=IGNORE_INDEX)


def shift_right(labels: Tensor, *, start_token_id: int, pad_token_id: int) -> Tensor:
    """Decoder inputs of a Seq2Seq model for teacher forcing, (B, U).

    Example:
        >>> shift_right(torch.tensor([[5, 6, 1], [7, 1, -100]]), start_token_id=2, pad_token_id=0).tolist()
        [[2, 5, 6], [2, 7, 1]]
    """
    shifted = functional.pad(labels[:, :-1], (1, 0), value=start_token_id)
    return shifted.masked_fill(shifted == IGNORE_INDEX, pad_token_id)


def cross_entropy_sum(logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0) -> Tensor:
    """Sum of the cross-entropies of logits (N, V) and targets (N,), in fp32 at least; nats."""
    wide = logits if logits.dtype == torch.float64 else logits.float()
    return functional.cross_entropy(wide, targets, reduction="sum", label_smoothing=label_smoothing)


def check_label_smoothing(label_smoothing: float) -> None:
    """Refuse what is no share of the target mass, or all of it."""
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"model.label_smoothing is {label_smoothing}; give a share from 0 to below 1")


def row_log_probs(logits: Tensor, targets: Tensor, *, rows: Tensor, num_rows: int) -> Tensor:
    """Sum of the log-probabilities that logits (N, V) give targets (N,), for each of B rows; fp32, (B,).

    `rows`, (N,), has the row of each position.
    """
    losses = functional.cross_entropy(logits.float(), targets, reduction="none")
    return torch.zeros(num_rows, device=losses.device, dtype=losses.dtype).index_add_(0, rows, -losses)
