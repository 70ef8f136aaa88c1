"""A preset's rules on repetition, as logits processors.

In: a preset, and what of the vocabulary its rules ask for. Out: processors in transformers' own order.
"""

from __future__ import annotations

from collections.abc import Callable

from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from kosum_pl.decode.preset import DecodingPreset
from kosum_pl.decode.repetition.token_ban import CharacterBoundaries, TokenNGramBan
from kosum_pl.decode.repetition.word_ban import WordNGramBan
from kosum_pl.decode.repetition.word_pieces import WordPieces


def generated_only_processors(
    preset: DecodingPreset,
    *,
    prompt_length: int,
    pieces: Callable[[], WordPieces],
    boundaries: Callable[[], CharacterBoundaries | None] = lambda: None,
    overwrites_scores: bool = False,
) -> LogitsProcessorList:
    """Repetition rules of a preset over generated tokens alone.

    Args:
        preset: Whose rules.
        prompt_length: Leading positions of every row that are prompt; see `WordNGramBan`.
        pieces: The vocabulary, asked for where words are counted.
        boundaries: Where characters end, asked for where tokens are counted; see `TokenNGramBan`.
        overwrites_scores: Write into the scores themselves; wrong where the caller keeps them.
    """
    processors = LogitsProcessorList()
    if preset.repetition_penalty != 1.0:
        # An integer cuts the prompt off. A length per row would not survive beams, which multiply the rows.
        processors.append(
            RepetitionPenaltyLogitsProcessor(preset.repetition_penalty, prompt_ignore_length=prompt_length)
        )
    size = preset.no_repeat_ngram_size
    if size and preset.no_repeat_ngram_unit == "token":
        processors.append(TokenNGramBan(ngram_size=size, prompt_length=prompt_length, boundaries=boundaries()))
    elif size:
        processors.append(
            WordNGramBan(pieces(), ngram_size=size, prompt_length=prompt_length, overwrites_scores=overwrites_scores)
        )
    return processors
