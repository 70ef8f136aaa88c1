"""`RowLength`: a limit on a summary's tokens that follows the length of its row's prompt.

In: a share and its bounds, as a preset gives them. Out: the limit of a row. Long dialogues have longer summaries: one
number for all either cuts theirs or lets a short dialogue's run on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RowLength:
    """So many tokens for every token of the prompt, within bounds; checked by the preset that holds it.

    Attributes:
        per_source_token: Tokens of the summary for one of the row's prompt, as the model reads it.
        min: Limit of short prompts.
        max: Limit of long prompts.
    """

    per_source_token: float
    min: int
    max: int

    def tokens(self, num_source_tokens: int) -> int:
        """The limit of a row whose prompt has so many tokens, to the nearest whole number.

        Example:
            >>> limit = RowLength(per_source_token=0.4, min=48, max=256)
            >>> [limit.tokens(length) for length in (20, 250, 999)]
            [48, 100, 256]
        """
        return min(max(round(self.per_source_token * num_source_tokens), self.min), self.max)

    def __str__(self) -> str:
        """As a preset file writes it.

        Example:
            >>> str(RowLength(per_source_token=0.4, min=48, max=256))
            '{per_source_token: 0.4, min: 48, max: 256}'
        """
        return f"{{per_source_token: {self.per_source_token:g}, min: {self.min}, max: {self.max}}}"
