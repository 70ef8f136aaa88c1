"""The rules while a batch is generated: repetition rules, the constraint, and the head that goes with it.

In: a batch's dialogues and its preset. Out: logits processors in the order they must run, and a `with` block around
`generate`. The constraint comes last of them, so that it has the last word over every other rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LogitsProcessorList

from kosum_pl.decode import (
    BatchConstraint,
    Constraint,
    ConstraintSettings,
    DecodingPreset,
    GenerationShape,
    check_small_head,
    compact_head,
    constrained_head,
    generated_only_processors,
)
from kosum_pl.decode.constraint.automaton import build_utf8_automaton
from kosum_pl.decode.constraint.tables import TokenTables, build_tables
from kosum_pl.decode.constraint.token_bytes import token_bytes
from kosum_pl.decode.constraint.tracker import StateTracker
from kosum_pl.decode.repetition.word_pieces import WordPieces
from kosum_pl.encode import Encoder
from kosum_pl.types import Dialogue


@dataclass(frozen=True, eq=False, kw_only=True)
class BatchRules:
    """Rules of one `generate` call.

    Attributes:
        processors: Logits processors, the constraint last.
        limits: Most tokens of each row, (B,).
        constraint: None where everything may be generated.
        has_small_head: Whether the head computes allowed ids only.
    """

    processors: LogitsProcessorList
    limits: tuple[int, ...]
    constraint: BatchConstraint | None = None
    has_small_head: bool = False

    @contextmanager
    def head(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model's logits are minus infinity at what no row of the batch may ever hold."""
        if self.constraint is None:
            yield
            return
        with constrained_head(model, self.constraint.columns, is_small=self.has_small_head):
            yield

    @contextmanager
    def scoring_head(self, model: nn.Module) -> Iterator[None]:
        """Inside, the small head's logits are those of the allowed ids alone; see `allowed_logits`."""
        is_compact = self.constraint is not None and self.has_small_head
        columns = self.constraint.columns.ids if self.constraint is not None else None
        device = next(model.parameters()).device
        with compact_head(model, columns.to(device)) if is_compact and columns is not None else nullcontext():
            yield

    def allowed_logits(self, logits: Tensor, targets: Tensor, *, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits over what each row may ever hold, and the targets' indices among them.

        Args:
            logits: From within `scoring_head`, (N, V) or (N, C).
            targets: Ids, (N,).
            rows: Row of each position, (N,).
        """
        if self.constraint is None:
            return logits, targets
        columns = self.constraint.columns.to(logits.device)
        if not self.has_small_head:
            logits = logits.index_select(1, columns.ids)
        if columns.is_denied is not None:
            logits = logits.masked_fill(columns.is_denied[rows], -math.inf)
        return logits, torch.searchsorted(columns.ids, targets)


class DecodingRules:
    """Makes the rules of each batch."""

    def __init__(self, encoder: Encoder, settings: ConstraintSettings | None) -> None:
        self.encoder = encoder
        self.settings = settings

    @cached_property
    def constraint(self) -> Constraint:
        """The constraint; a second at its first use, less from the cache."""
        if self.settings is None:
            raise ValueError("no constraint is set; set model.constraint")
        return self.settings.build(self.encoder.tokenizer, eos_token_ids=self.encoder.terminator_ids)

    def check(self, model: Any, presets: Iterable[DecodingPreset]) -> None:
        """Refuse, before anything is generated, a model or a vocabulary that the rules cannot serve.

        Raises:
            ValueError: The small head is on and the model's head is no plain linear layer; or words are counted and it
                is not known what the tokens write.
        """
        if self.settings is not None and self.settings.small_head:
            check_small_head(model)
        if any(preset.no_repeat_ngram_size and preset.no_repeat_ngram_unit == "word" for preset in presets):
            _ = self.word_pieces

    def for_batch(
        self,
        dialogues: Sequence[Dialogue],
        preset: DecodingPreset,
        *,
        prompt_length: int,
        num_source_tokens: Sequence[int],
        num_sequences: int | None = None,
    ) -> BatchRules:
        """Rules of one batch, which allow its dialogues' words.

        Args:
            dialogues: The rows, B of them.
            preset: Serves all of them.
            prompt_length: Leading positions that are not generated.
            num_source_tokens: Tokens of each row's prompt, padding left out, (B,); a limit may depend on them.
            num_sequences: Sequences that a row has at a time; None for as many as the preset has beams.
        """
        limits = tuple(map(preset.max_new_tokens_of, num_source_tokens))
        constraint = None
        if self.settings is not None:
            constraint = self.constraint.for_rows(
                [self.settings.row_words(dialogue.text) for dialogue in dialogues],
                GenerationShape(
                    prompt_length=prompt_length,
                    max_new_tokens=limits if len(set(limits)) > 1 else limits[0],
                    num_beams=num_sequences or preset.num_beams,
                    overwrites_scores=True,
                ),
            )
        processors = generated_only_processors(
            preset,
            prompt_length=prompt_length,
            pieces=lambda: self.word_pieces,
            boundaries=lambda: self._boundaries(prompt_length) if constraint is None else constraint.tracker,
            overwrites_scores=True,
        )
        if constraint is None or self.settings is None:
            return BatchRules(processors=processors, limits=limits)
        processors.append(constraint.processor)
        return BatchRules(
            processors=processors, limits=limits, constraint=constraint, has_small_head=self.settings.small_head
        )

    @cached_property
    def word_pieces(self) -> WordPieces:
        """The vocabulary for bans on phrases; half a second at its first use.

        Raises:
            ValueError: What its tokens write is not known.
        """
        try:
            written = token_bytes(self.encoder.tokenizer)
        except ValueError as error:
            remedy = "or set no_repeat_ngram_unit: token in the presets"
            raise ValueError(
                f"no_repeat_ngram_unit is word, and what tokens write is unknown: {error}, {remedy}"
            ) from error
        return WordPieces(written, eos_token_ids=self.encoder.terminator_ids)

    def _boundaries(self, prompt_length: int) -> StateTracker | None:
        if self._utf8_tables is None:
            return None
        return StateTracker(
            self._utf8_tables, eos_token_ids=self.encoder.terminator_ids, rows=[None], prompt_length=prompt_length
        )

    @cached_property
    def _utf8_tables(self) -> TokenTables | None:
        """Where characters end, for rules on tokens without a constraint; None where no token is a piece of one."""
        try:
            written = token_bytes(self.encoder.tokenizer)
        except ValueError:
            return None  # an unknown kind of vocabulary: the rules bind everywhere, as they do elsewhere
        return None if all(map(_is_text, written)) else build_tables(build_utf8_automaton(), written)


def _is_text(written: bytes) -> bool:
    try:
        written.decode()
    except UnicodeDecodeError:
        return False
    return True
