"""The output head, computed only where something can be said.

In: a model and the ids that a batch may ever be allowed. Out: the same model for the time of a `with` block, whose
logits of all other ids are minus infinity before any softmax: log-probabilities are those over what may be said. The
*small* head multiplies with the allowed rows of its matrix alone, a twentieth of a large vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kosum_pl.decode.constraint.processors import AllowedColumns


@contextmanager
def constrained_head(model: nn.Module, columns: AllowedColumns, *, is_small: bool = True) -> Iterator[None]:
    """Let a model say only what a batch may ever be allowed.

    Args:
        model: A transformers model; its weights must not change inside the block.
        columns: Allowed ids; the sequences of a row stand together.
        is_small: Compute the allowed rows only; False computes all and throws the others away.

    Yields:
        Nothing; inside, `model(...).logits` is (N, T, V) with minus infinity at everything else.

    Raises:
        ValueError: `is_small` and the head is no plain linear layer, or carries an adapter.
    """
    model = _without_wrapper(model)
    weight: Tensor = model.get_output_embeddings().weight  # type: ignore[operator]
    columns = columns.to(weight.device)

    def spread(_: nn.Module, __: Any, output: Any) -> Any:
        """The model's output with logits of all ids, (N, T, V)."""
        logits = output.logits if is_small else output.logits.index_select(-1, columns.ids)
        denied = columns.denied(len(logits))
        if denied is not None:
            logits = logits.masked_fill(denied[:, None], -math.inf)
        full = logits.new_full((*logits.shape[:-1], len(weight)), -math.inf)
        output.logits = full.index_copy_(-1, columns.ids, logits)
        return output

    handle = model.register_forward_hook(spread)
    try:
        if is_small:
            with compact_head(model, columns.ids):
                yield
        else:
            yield
    finally:
        handle.remove()


@contextmanager
def compact_head(model: nn.Module, ids: Tensor) -> Iterator[None]:
    """Let the output head compute the logits of some ids alone.

    What the model does with its logits afterwards (a soft cap, a scale, BART's bias) is left in place, as it acts on
    each of them alone.

    Yields:
        Nothing; inside, the last dimension of `model(...).logits` is C, in the order of `ids`, (C,).

    Raises:
        ValueError: The head is no plain linear layer, or carries an adapter.
    """
    model = _without_wrapper(model)
    head = _plain_head(model)
    # One copy a block: C rows of V.
    weight = head.weight.index_select(0, ids)
    bias = None if head.bias is None else head.bias.index_select(0, ids)
    final_bias = getattr(model, "final_logits_bias", None)
    # On the instance: hooks, and whoever holds the head, stay as they are.
    vars(head)["forward"] = lambda hidden: functional.linear(hidden, weight, bias)
    if isinstance(final_bias, Tensor):
        model.final_logits_bias = final_bias.index_select(-1, ids)
    try:
        yield
    finally:
        del vars(head)["forward"]
        if isinstance(final_bias, Tensor):
            model.final_logits_bias = final_bias


def check_small_head(model: nn.Module) -> None:
    """Refuse a model whose head cannot be computed in part.

    Raises:
        ValueError: The head is no plain linear layer, or carries an adapter.
    """
    _plain_head(model)


def _without_wrapper(model: nn.Module) -> nn.Module:
    """The transformers model: `generate` of a peft model calls it, and no hook of the wrapper."""
    base: nn.Module = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    return base


def _plain_head(model: nn.Module) -> nn.Linear:
    head = model.get_output_embeddings()  # type: ignore[operator]
    remedy = "set model.constraint.small_head=false"
    if hasattr(head, "base_layer"):
        raise ValueError(f"the output head carries an adapter, which the small head would leave out; {remedy}")
    if type(head) is not nn.Linear or not torch.is_floating_point(head.weight):
        raise ValueError(
            f"the output head is a {type(head).__name__}, and only plain linear layers can be cut; {remedy}"
        )
    return head
