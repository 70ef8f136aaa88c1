"""`RowLimits`: rows of one batch end at limits of their own.

In: ids (N, T) of a generation step. Out: which sequences are done, (N,). A row's beams count as finished there as they
do at the length limit of a whole call, so that a row gets the summary that it would get alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList


class RowLimits(StoppingCriteria):  # type: ignore[misc]  # transformers is untyped to mypy
    """Ends each row's sequences at the row's limit.

    Args:
        limits: Most generated tokens of each row, (B,).
        prompt_length: Leading positions that nobody generates.

    Example:
        >>> RowLimits([1, 2], prompt_length=1)(torch.zeros(4, 2), None)  # two beams a row, one token generated
        tensor([ True,  True, False, False])
    """

    def __init__(self, limits: Sequence[int], *, prompt_length: int) -> None:
        self._limits = torch.tensor(list(limits))
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        """Whether each sequence, (N, T), has as many tokens as its row may; the sequences of a row stand together."""
        self._limits = self._limits.to(input_ids.device)
        is_done = self._limits <= input_ids.shape[1] - self._prompt_length
        return is_done.repeat_interleave(len(input_ids) // len(is_done))


def row_criteria(limits: Sequence[int], *, prompt_length: int) -> StoppingCriteriaList:
    """`RowLimits` where rows differ, (B,); nothing where one limit, that of the call, serves all.

    Example:
        >>> len(row_criteria([9, 9], prompt_length=1)), len(row_criteria([9, 8], prompt_length=1))
        (0, 1)
    """
    return StoppingCriteriaList([RowLimits(limits, prompt_length=prompt_length)] if len(set(limits)) > 1 else [])
