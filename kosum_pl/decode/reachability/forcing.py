"""Teacher forcing on scores: which token of a reference do logits processors forbid?

In: references as ids, and the processors that `generate` would run. Out: for each reference the positions that fell to
minus infinity. No model is needed: a processor forbids by the ids before, whatever the scores are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import torch
from transformers import LogitsProcessor

BATCH_ROWS: Final = 32
PROMPT_LENGTH: Final = 1
"""Positions in front of a reference, which nobody generates."""
_PROMPT_ID: Final = -1  # equal to no token, so that no rule finds it in the middle of a forbidden phrase

MakeProcessors = Callable[[Sequence[int]], Sequence[LogitsProcessor]]
"""Makes the processors of one batch, from its rows' indices."""


def forbidden_positions(references: Sequence[Sequence[int]], make: MakeProcessors, *, width: int) -> list[list[int]]:
    """Positions of each reference that some processor forbids when everything before them has been generated.

    Every processor sees scores that no other has touched.

    Args:
        references: Ids with their terminator, a list for each of N rows.
        make: Processors of a batch; empty where nothing is forbidden.
        width: Size of the vocabulary, V.

    Returns:
        N ascending lists.

    Example:
        >>> from transformers import NoRepeatNGramLogitsProcessor
        >>> forbidden_positions([[3, 4, 3, 4], [3, 4, 5, 3]], lambda rows: [NoRepeatNGramLogitsProcessor(2)], width=6)
        [[3], []]
    """
    found: list[list[int]] = [[] for _ in references]
    # Rows of like length together, as a batch runs to the end of its longest.
    order = sorted(range(len(references)), key=lambda row: len(references[row]))
    for start in range(0, len(order), BATCH_ROWS):
        rows = order[start : start + BATCH_ROWS]
        processors = make(rows)
        if not processors:
            continue
        ids = _padded([references[row] for row in rows])
        scores = torch.zeros(len(rows), width)
        for position in range(ids.shape[1] - PROMPT_LENGTH):
            wanted = ids[:, position + PROMPT_LENGTH, None]
            is_forbidden = torch.zeros(len(rows), dtype=torch.bool)
            for processor in processors:
                given = processor(ids[:, : position + PROMPT_LENGTH], scores)
                is_forbidden |= given.gather(1, wanted)[:, 0] == -math.inf
                if given.data_ptr() == scores.data_ptr():  # written in place
                    scores.zero_()
            for index in is_forbidden.nonzero()[:, 0].tolist():
                if position < len(references[rows[index]]):
                    found[rows[index]].append(position)
    return found


def _padded(references: Sequence[Sequence[int]]) -> torch.Tensor:
    """Ids behind a prompt of one position, (B, 1 + T); behind its end a row repeats its terminator."""
    length = max(map(len, references))
    rows = [[_PROMPT_ID, *ids, *[ids[-1]] * (length - len(ids))] for ids in references]
    return torch.tensor(rows)
