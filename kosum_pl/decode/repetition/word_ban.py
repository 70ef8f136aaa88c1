"""No phrase of several words twice, whatever tokens they are written with.

In: generated ids and scores. Out: scores. A ban on n-grams of *tokens* depends on how a vocabulary cuts words: KoBART
writes `#Person1#` with six tokens, and a ban on four of them forbids every second speaker tag. Words are the same for
all vocabularies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import LogitsProcessor

from kosum_pl.decode.prefix_memo import PrefixMemo
from kosum_pl.decode.repetition.word_pieces import WordPieces, split_words

_Words = tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class _Phrases:
    """A text as the ban sees it.

    Attributes:
        last: Its last whole words, n - 1 of them at most.
        running: The word behind them that may go on; empty behind white space.
        seen: The n-grams of its whole words: first n - 1 words to all that followed them.
    """

    last: _Words
    running: bytes
    seen: Mapping[_Words, frozenset[bytes]]


class WordNGramBan(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """Forbids the tokens that would say an n-gram of words for the second time in the completion.

    Words are what white space separates; tags count like any other. A token is banned that makes the running word equal
    to the last word of an n-gram that the completion holds already, whether it stops there, or goes on with white space
    or the end. Where only the boundary behind the word were banned, a model would invent another ending for it. A
    character that is begun may always be finished; a word that is complete with it may then go on, and not end.

    The state is a function of the ids, so that beam search may reorder rows between steps.

    Args:
        pieces: The vocabulary.
        ngram_size: Words of a phrase, at least 1.
        prompt_length: Leading positions of every row that are prompt: the padded width where prompts are left-padded.
        overwrites_scores: Write into the scores themselves; wrong where the caller keeps them.

    Example:
        >>> pieces = WordPieces([text.encode() for text in ("", "가", "나", " 가", " 나", "다")], eos_token_ids=[0])
        >>> ids = torch.tensor([[1, 4, 3]])  # 가 나 가
        >>> WordNGramBan(pieces, ngram_size=2, prompt_length=0)(ids, torch.zeros(1, 6))
        tensor([[0., 0., 0., 0., -inf, 0.]])
    """

    def __init__(
        self, pieces: WordPieces, *, ngram_size: int, prompt_length: int, overwrites_scores: bool = False
    ) -> None:
        if ngram_size < 1 or prompt_length < 0:
            raise ValueError(
                f"ngram_size is {ngram_size} and prompt_length {prompt_length}; give at least 1 and at least 0"
            )
        self.pieces = pieces
        self.ngram_size = ngram_size
        self.prompt_length = prompt_length
        self.overwrites_scores = overwrites_scores
        self._memo = PrefixMemo(_Phrases((), b"", {}), self._step)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores, (N, V), with banned tokens at minus infinity; `input_ids` is (N, T)."""
        generated = input_ids[:, self.prompt_length :].cpu().numpy()
        states = self._memo.states(generated, rows=[0] * len(generated))
        banned = [self._banned(state) for state in states]
        where = [(sequence, token) for sequence, tokens in enumerate(banned) for token in tokens]
        if not where:
            return scores
        scores = scores if self.overwrites_scores else scores.clone()
        sequences, tokens = torch.tensor(where, device=scores.device).T
        scores[sequences, tokens] = -math.inf
        return scores

    def _step(self, state: _Phrases, token: int, _: int) -> _Phrases:
        if is_whole(state.running):
            first, *others = self.pieces.parts(token)
            running = state.running + first
        else:  # what is begun may turn out to be white space
            running, *others = split_words(state.running + self.pieces.written(token))
        state = replace(state, running=running) if running != state.running else state
        for word in others:
            state = replace(self._close(state), running=word)
        return state

    def _close(self, state: _Phrases) -> _Phrases:
        """The text with its running word ended."""
        if not state.running:
            return state
        words = (*state.last, state.running)
        if len(words) < self.ngram_size:
            return _Phrases(words, b"", state.seen)
        followed = state.seen.get(state.last, frozenset()) | {state.running}
        return _Phrases(words[1:], b"", {**state.seen, state.last: followed})

    def _banned(self, state: _Phrases) -> list[int]:
        """Ids that would repeat an n-gram."""
        running = state.running
        may_continue = not is_whole(running)
        found: list[int] = []
        for word in state.seen.get(state.last, ()):
            if word == running:
                found += self.pieces.closing
            elif word.startswith(running) and not may_continue:
                found += self.pieces.continuing(word[len(running) :])
        closed = self._close(state)
        for word in closed.seen.get(closed.last, ()):
            found += self.pieces.opening(word)
        for token in self.pieces.several:
            if not (may_continue and self.pieces.parts(token)[0]) and self._repeats(state, token):
                found.append(token)
        return found

    def _repeats(self, state: _Phrases, token: int) -> bool:
        """Whether one of the words that a token ends or leaves running repeats an n-gram."""
        first, *others = self.pieces.parts(token)
        state = replace(state, running=state.running + first)
        for word in others:
            if state.running in state.seen.get(state.last, ()):
                return True
            state = replace(self._close(state), running=word)
        return state.running in state.seen.get(state.last, ())


def is_whole(text: bytes) -> bool:
    """Whether UTF-8 bytes end between two characters.

    Example:
        >>> [is_whole("가".encode()[:length]) for length in range(4)]
        [True, False, False, True]
    """
    for back in range(1, min(len(text), 3) + 1):
        byte = text[-back]
        if byte & 0xC0 != 0x80:  # the character's first byte, which says how many there are
            return back >= (1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return True
