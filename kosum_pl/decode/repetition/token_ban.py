"""No n-gram of tokens twice: transformers' rule, over what was generated.

In: ids (B, T) of prompt and completion, scores (B, V). Out: scores. Causal models read prompt and completion as one
sequence, and transformers' rule takes it as a whole: a phrase of the dialogue could never be quoted. Here it sees the
completion alone, as it does for encoder-decoders.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from transformers import LogitsProcessor, NoRepeatNGramLogitsProcessor


class CharacterBoundaries(Protocol):
    """Knows where characters end; `StateTracker` does."""

    def is_between_characters(self, input_ids: Tensor) -> list[bool]:
        """Whether each sequence, (N, T), has finished its last character."""


class TokenNGramBan(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """Forbids the tokens that would complete an n-gram for the second time in the completion.

    Stateless, so that beam search may reorder rows between steps.

    Args:
        ngram_size: Size of the n-grams, at least 1.
        prompt_length: Leading positions of every row that are prompt: the padded width where prompts are left-padded.
        boundaries: Tells where characters end; None where no token is a piece of one.

    Example:
        >>> import torch
        >>> ids = torch.tensor([[3, 4, 5, 6, 5]])  # prompt: 3 4; completion: 5 6 5
        >>> TokenNGramBan(ngram_size=2, prompt_length=2)(ids, torch.zeros(1, 8))
        tensor([[0., 0., 0., 0., 0., 0., -inf, 0.]])
    """

    def __init__(self, *, ngram_size: int, prompt_length: int, boundaries: CharacterBoundaries | None = None) -> None:
        if ngram_size < 1 or prompt_length < 0:
            raise ValueError(
                f"ngram_size is {ngram_size} and prompt_length {prompt_length}; give at least 1 and at least 0"
            )
        self.prompt_length = prompt_length
        self.boundaries = boundaries
        # transformers' rule is one comparison over all rows and windows since 5.x; only what it sees must change.
        self._rule = NoRepeatNGramLogitsProcessor(ngram_size)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores, (B, V), with banned tokens at minus infinity; `input_ids` is (B, T)."""
        banned: Tensor = self._rule(input_ids[:, self.prompt_length :], scores)
        if self.boundaries is None:
            return banned
        binds = torch.tensor(self.boundaries.is_between_characters(input_ids), device=scores.device)
        return torch.where(binds[:, None], banned, scores)
