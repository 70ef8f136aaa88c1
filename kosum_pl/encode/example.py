"""Prompt ids + completion ids: one row as a model reads it.

In: a `Dialogue` and `TokenLimits`. Out: an `EncodedExample` whose labels are known by construction, since prompt and
completion are made apart and joined as ids: nothing is searched for, and the prompt of generation is exactly the
beginning of the training example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final, Protocol

from kosum_pl.encode.chat import ChatTokenizer, encode_history
from kosum_pl.encode.limits import TokenLimits, fit_dialogue
from kosum_pl.encode.prompt import ChatPrompt, SourcePrompt
from kosum_pl.encode.text import TextTokenizer
from kosum_pl.types import IGNORE_INDEX, UNLIMITED, Dialogue, EncodedExample

_VERSION: Final = 2
"""Part of every fingerprint: raise it when the same input would give other ids, or old caches are read."""


class Encoder(Protocol):
    """What fit, validate, test and predict need of an encoder.

    Attributes:
        is_causal: Whether prompt and completion are one sequence.
        fingerprint: Hash (hex) of the tokenizer's content and the prompt; the same in every process.
        terminator_ids: Ids that end a completion that was not cut.
    """

    is_causal: bool
    tokenizer: Any
    fingerprint: str
    terminator_ids: tuple[int, ...]

    @property
    def prompt(self) -> ChatPrompt | SourcePrompt:
        """The instructions."""

    def encode(self, dialogue: Dialogue, *, limits: TokenLimits, with_summary: bool) -> EncodedExample:
        """One row as ids, with its first reference as the summary, or without any.

        Raises:
            ValueError: The row cannot be brought within the limits, or has nothing to learn from.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without control tokens and without clean-up of spaces."""
        ...


class CausalEncoder:
    """Dialogue → chat prompt + summary + terminator, loss on the completion alone; nothing follows a cut summary.

    A row in chat format is rendered as it is, without the prompt's own instructions.

    Raises:
        ValueError: The template is missing, or the token that ends an assistant turn cannot be found in it.
    """

    is_causal = True

    def __init__(self, tokenizer: Any, prompt: ChatPrompt) -> None:
        self.tokenizer = tokenizer
        self.prompt = prompt
        self._chat = ChatTokenizer(tokenizer, prompt)
        terminator, eos = self._chat.terminator_id, tokenizer.eos_token_id
        self.terminator_ids: tuple[int, ...] = (terminator,) if eos in (None, terminator) else (terminator, eos)
        # The template's text and what it made of the prompt, not the file it was read from.
        parts = [_VERSION, "causal", self._chat.renderer.template, prompt.template_args, *self._chat.frame]
        self.fingerprint = self._chat.text.fingerprint([*parts, terminator, self._chat.text.leading_ids])

    def encode(self, dialogue: Dialogue, *, limits: TokenLimits, with_summary: bool) -> EncodedExample:
        """One row as ids: prompt (P,), then where wanted summary and, unless it was cut, terminator; see `Encoder`."""
        if dialogue.messages:
            prompt, labels, truncated = encode_history(self._chat, dialogue, limits=limits, with_summary=with_summary)
        else:
            prompt, truncated = fit_dialogue(
                dialogue.text.strip(), to_ids=self._chat.dialogue_ids, limits=limits, example_id=dialogue.example_id
            )
            labels = [IGNORE_INDEX] * len(prompt)
        completion: list[int] = []
        cut = 0
        if with_summary:
            completion, cut = _completion(self._chat.text, dialogue, limits, terminator_id=self._chat.terminator_id)
        return EncodedExample(
            example_id=dialogue.example_id,
            input_ids=prompt + completion,
            labels=labels + completion if with_summary else [],
            prompt_length=len(prompt),
            truncated_tokens=truncated,
            cut_tokens=cut,
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids; see `Encoder`."""
        return self._chat.text.decode(ids)


class Seq2SeqEncoder:
    """Dialogue → source ids of the encoder; summary + EOS → labels of the decoder; nothing follows a cut summary.

    Labels never begin with BOS: the model shifts them and puts its own start token in front.

    Raises:
        ValueError: The tokenizer lacks EOS, or BOS where it is asked for.
    """

    is_causal = False

    def __init__(self, tokenizer: Any, prompt: SourcePrompt) -> None:
        self.tokenizer = tokenizer
        self.prompt = prompt
        self._text = text = TextTokenizer(tokenizer)
        if tokenizer.eos_token_id is None:
            raise ValueError(f"tokenizer '{tokenizer.name_or_path}' has no EOS; set eos_token in its config")
        if prompt.add_bos and tokenizer.bos_token_id is None:
            raise ValueError(f"tokenizer '{tokenizer.name_or_path}' has no BOS; set model.prompt.add_bos to null")
        self._leading = _forced(text.leading_ids, tokenizer.bos_token_id, prompt.add_bos, at_end=False)
        self._trailing = _forced(text.trailing_ids, tokenizer.eos_token_id, prompt.add_eos, at_end=True)
        self.terminator_ids: tuple[int, ...] = (tokenizer.eos_token_id,)
        self.fingerprint = text.fingerprint([_VERSION, "seq2seq", asdict(prompt), self._leading, self._trailing])

    def encode(self, dialogue: Dialogue, *, limits: TokenLimits, with_summary: bool) -> EncodedExample:
        """One row as ids: source (S,) and, where wanted, labels (U,); see `Encoder`."""
        source, truncated = fit_dialogue(
            dialogue.text.strip(), to_ids=self._source_ids, limits=limits, example_id=dialogue.example_id
        )
        labels: list[int] = []
        cut = 0
        if with_summary:
            labels, cut = _completion(self._text, dialogue, limits, terminator_id=self.terminator_ids[0])
        return EncodedExample(
            example_id=dialogue.example_id,
            input_ids=source,
            labels=labels,
            prompt_length=len(source),
            truncated_tokens=truncated,
            cut_tokens=cut,
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids; see `Encoder`."""
        return self._text.decode(ids)

    def _source_ids(self, dialogue: str) -> list[int]:
        text = self.prompt.prefix + self._text.mark(dialogue) + self.prompt.suffix
        return self._leading + self._text.ids(text) + self._trailing


def _completion(
    text: TextTokenizer, dialogue: Dialogue, limits: TokenLimits, *, terminator_id: int
) -> tuple[list[int], int]:
    """Ids (U,) of the chat's last turn or the first reference, and how many were cut; see `completion_ids`."""
    if not dialogue.messages and not dialogue.references:
        raise ValueError(f"example '{dialogue.example_id}' has no summary: nothing to learn from; map its column")
    return text.completion_ids(
        dialogue.messages[-1].content if dialogue.messages else dialogue.references[0],
        terminator_id=terminator_id,
        max_tokens=limits.max_summary_tokens,
        example_id=dialogue.example_id,
    )


def summary_ids(summary: str, *, encoder: Encoder, example_id: str) -> list[int]:
    """Ids (U,) of a summary as it is learnt where no limit cuts it, the terminator last."""
    row = Dialogue(example_id=example_id, text="가", references=(summary,))  # short, as prompts take the time
    whole = TokenLimits(max_source_tokens=UNLIMITED, max_summary_tokens=UNLIMITED)
    labels = encoder.encode(row, limits=whole, with_summary=True).labels
    return [label for label in labels if label != IGNORE_INDEX]


def _forced(own: list[int], token_id: int | None, wanted: bool | None, *, at_end: bool) -> list[int]:
    """The tokenizer's own special ids at one end, with a token forced there or taken away."""
    if wanted is None or token_id is None or (token_id in own) == wanted:
        return own
    if not wanted:
        return [index for index in own if index != token_id]
    return [*own, token_id] if at_end else [token_id, *own]
