"""One driver of `generate` for every constraint, model and decoding mode, and what its texts may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedModel

from kosum_pl.decode.charset import Charset
from kosum_pl.decode.constraint.head import constrained_head
from kosum_pl.decode.constraint.kinds import AutomatonConstraint, Constraint
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.processors import GenerationShape
from kosum_pl.decode.literals import DEFAULT_LITERALS, foreign_places

WORDS = (("KTX", "Jimmy"), (), ("5km", "café", "大會"), ("漢字",))
"""Words of four rows."""
PAD = 1


@dataclass
class Boost(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """What a bad model does: it likes pieces of characters, and does not end."""

    ids: list[int]
    terminators: list[int]
    by: float

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        boosted = scores.clone()
        boosted[:, self.ids] += self.by
        boosted[:, self.terminators] -= 4 * self.by
        return boosted


@dataclass(frozen=True, kw_only=True)
class Driver:
    """One call of `generate` under a constraint, or none: the same for every back end, model and decoding mode."""

    model: PreTrainedModel
    constraint: Constraint | None
    words: Sequence[Sequence[str]]
    written: Sequence[bytes]
    terminators: tuple[int, ...] = (2,)
    is_small: bool | None = None  # None: no block around the call
    boost: float = 6.0

    def __call__(
        self, max_new_tokens: int, *, seed: int = 0, shape: Mapping[str, Any] | None = None, **mode: Any
    ) -> Tensor:
        """Generated ids alone, (N, G)."""
        torch.manual_seed(seed)
        inputs, prompt_length = self._prompts(mode.pop("from_embeds", False))
        pieces = [index for index, piece in enumerate(self.written) if "\ufffd" in piece.decode("utf-8", "replace")]
        processors = transformers.LogitsProcessorList([*mode.pop("before", ())])
        processors.append(Boost(pieces, list(self.terminators), self.boost))
        with torch.no_grad(), ExitStack() as stack:
            if self.constraint is not None:
                known = {"num_beams": mode.get("num_beams", 1), **(shape or {})}
                asked = GenerationShape(prompt_length=prompt_length, max_new_tokens=max_new_tokens, **known)
                rules = self.constraint.for_rows(self.words, asked)
                processors.append(rules.processor)
                if self.is_small is not None:
                    stack.enter_context(constrained_head(self.model, rules.columns, is_small=self.is_small))
            mode |= {"logits_processor": processors, "eos_token_id": list(self.terminators)}
            return self.model.generate(**inputs, max_new_tokens=max_new_tokens, **mode)[:, prompt_length:]

    @property
    def free(self) -> Driver:
        """The same without a constraint."""
        return replace(self, constraint=None)

    def _prompts(self, from_embeds: bool) -> tuple[dict[str, Tensor], int]:
        """Prompts of different lengths, padded in front."""
        generator = torch.Generator().manual_seed(7)
        ids = torch.randint(4, 300, (len(self.words), 9), generator=generator)
        mask = (torch.arange(9) >= torch.arange(len(self.words))[:, None]).long()
        ids = ids.masked_fill(mask == 0, PAD)
        if from_embeds:
            return {"inputs_embeds": self.model.get_input_embeddings()(ids).detach(), "attention_mask": mask}, 0
        return {"input_ids": ids, "attention_mask": mask}, 1 if self.model.config.is_encoder_decoder else 9

    def texts(self, ids: Tensor) -> list[tuple[int, str]]:
        """Row and text of every sequence, to its terminator; bytes that are no text become U+FFFD."""
        found = []
        for index, sequence in enumerate(ids.tolist()):
            ends = [at for at, token in enumerate(sequence) if token in self.terminators]
            kept = sequence[: ends[0]] if ends else sequence
            pieces = [self.written[token] if token < len(self.written) else "�".encode() for token in kept]
            text = b"".join(pieces).decode("utf-8", "replace")
            found.append((index * len(self.words) // len(ids), text))
        return found

    def num_foreign(self, ids: Tensor) -> int:
        """Characters that nothing allows, in all sequences; a broken one is among them."""
        return sum(
            len(foreign_places(text, charset=Charset(), literals=DEFAULT_LITERALS, row_words=self.words[row]))
            for row, text in self.texts(ids)
        )


def is_accepted(constraint: AutomatonConstraint, ids: Sequence[int], words: Sequence[str]) -> bool:
    """Whether a row's tables allow every token in its turn, and the end behind them: read from the arrays alone."""
    tables, row = constraint.tables, constraint.row_tables(words)
    common_of = row.common if row is not None else range(len(tables.following))
    state = tables.automaton.start
    for token in ids:
        target = row.following.get((state, token)) if row is not None else None
        if target is None:
            column, common = tables.column_of.get(token), common_of[state]
            target = DEAD if column is None or common == DEAD else int(tables.following[common, column])
        if target == DEAD:
            return False
        state = target
    return common_of[state] != DEAD and bool(tables.automaton.is_accepting[common_of[state]])
