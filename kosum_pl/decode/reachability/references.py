"""References of some rows, held against presets and the constraint.

In: dialogues with references, the encoder, the constraint. Out: `Reachability` under whatever presets serve the rows.
What forbids a reference is asked of the logits processors that `generate` runs, each alone, so that leaving one of them
out, or changing it, says exactly what that brings. All is greedy here: beams and sampling choose among the same tokens.
A preset cannot force tokens, and a penalty forbids none, so neither is a reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, Final

import torch
from transformers import LogitsProcessor, MinNewTokensLengthLogitsProcessor, NoBadWordsLogitsProcessor

from kosum_pl.decode import ConstraintSettings, DecodingPreset, RowLength
from kosum_pl.decode.reachability.forcing import PROMPT_LENGTH, forbidden_positions
from kosum_pl.decode.reachability.report import REASONS, WARNING_SHARE, Reachability
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Encoder, TokenLimits, summary_ids
from kosum_pl.types import UNLIMITED, Dialogue

# Fields that make a rule, by the field that names it.
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(item.name for item in fields(DecodingPreset) if item.name.startswith(name.removesuffix("_size")))
    for name in REASONS
}
_HELD_SHARE: Final = 0.995
_LENGTH_STEP: Final = 64
_SHARE_STEP: Final = 0.05
_SIZE_STEPS: Final = 3


class References:
    """The references of N rows, the first of each row: the one that is learnt.

    Args:
        dialogues: The rows.
        constraint: None where everything may be generated.
        limits: Of the prompts, whose lengths a preset's `max_new_tokens` may depend on.

    Attributes:
        ids: Each reference with its terminator, as it is learnt without any limit.
    """

    def __init__(
        self,
        dialogues: Sequence[Dialogue],
        *,
        encoder: Encoder,
        constraint: ConstraintSettings | None,
        limits: TokenLimits,
    ) -> None:
        self.dialogues = list(dialogues)
        self.ids = [
            summary_ids(reference_text(row), encoder=encoder, example_id=row.example_id) for row in self.dialogues
        ]
        self._encoder = encoder
        self._constraint = constraint
        self._limits = limits
        self._num_source_tokens: dict[int, int] = {}
        self._rules = DecodingRules(encoder, None)
        self._known: dict[tuple[DecodingPreset, tuple[int, ...]], frozenset[int]] = {}

    def measure(
        self, preset_for: Callable[[Mapping[str, str]], DecodingPreset], *, num_all: int | None = None
    ) -> Reachability:
        """How many references can be said where a row's profile decides its preset.

        `num_all` is the number of rows that these were chosen from.
        """
        served: dict[DecodingPreset, list[int]] = {}
        for row, dialogue in enumerate(self.dialogues):
            served.setdefault(preset_for(dialogue.profile), []).append(row)
        forbidden = {name: self._forbidden(name, served) for name in REASONS}
        unreachable = frozenset().union(*forbidden.values())
        is_few = len(unreachable) > (1 - WARNING_SHARE) * len(self.ids)
        # Each change that might help takes as long as all the rest.
        remedy, num_left = self._remedy(served, forbidden) if is_few else ("", len(unreachable))
        return Reachability(
            num_rows=len(self.ids),
            num_all=len(self.ids) if num_all is None else num_all,
            presets=list(dict.fromkeys(preset.name for preset in served)),
            forbidden={name: self._names(rows) for name, rows in forbidden.items() if rows},
            unreachable=self._names(unreachable),
            charset=self._names(self._outside - unreachable - self._unwritable),
            unwritable=self._names(self._unwritable - unreachable),
            num_rewritten=self._num_rewritten,
            remedy=remedy,
            remedy_share=1 - num_left / max(len(self.ids), 1),
        )

    def share(self, preset: DecodingPreset) -> float:
        """Share that the rules of one preset for all rows leave, 0-1."""
        served = {preset: list(range(len(self.ids)))}
        unreachable = frozenset().union(*(self._forbidden(name, served) for name in REASONS))
        return 1 - len(unreachable) / max(len(self.ids), 1)

    # The rules of presets.

    def _forbidden(self, name: str, served: Mapping[DecodingPreset, Sequence[int]]) -> frozenset[int]:
        """Rows whose reference one rule forbids."""
        return frozenset().union(*(self._forbidden_by(name, preset, rows) for preset, rows in served.items()))

    def _forbidden_by(self, name: str, preset: DecodingPreset, rows: Sequence[int]) -> frozenset[int]:
        if name == "max_new_tokens":
            return frozenset(row for row in rows if len(self.ids[row]) > self._limit(preset, row))
        # The rule alone, and greedy.
        values: dict[str, Any] = {each: getattr(preset, each) for each in _FIELDS[name]}
        alone = DecodingPreset(name=name, max_new_tokens=UNLIMITED, **values)
        key = (alone, tuple(rows))
        if key not in self._known:
            self._known[key] = self._forced(alone, rows)
        return self._known[key]

    def _forced(self, preset: DecodingPreset, rows: Sequence[int]) -> frozenset[int]:
        def make(batch: Sequence[int]) -> list[LogitsProcessor]:
            dialogues = [self.dialogues[rows[index]] for index in batch]
            rules = self._rules.for_batch(
                dialogues, preset, prompt_length=PROMPT_LENGTH, num_source_tokens=[0] * len(batch)
            )
            return [*own_processors(preset, self._encoder), *rules.processors]

        found = forbidden_positions([self.ids[row] for row in rows], make, width=self._width)
        return frozenset(row for row, positions in zip(rows, found, strict=True) if positions)

    def _limit(self, preset: DecodingPreset, row: int) -> int:
        """Most tokens of a row's summary."""
        is_by_row = isinstance(preset.max_new_tokens, RowLength)
        return preset.max_new_tokens_of(self._source_length(row)) if is_by_row else preset.most_new_tokens

    def _source_length(self, row: int) -> int:
        if row not in self._num_source_tokens:
            encoded = self._encoder.encode(self.dialogues[row], limits=self._limits, with_summary=False)
            self._num_source_tokens[row] = encoded.prompt_length
        return self._num_source_tokens[row]

    # What stands beside them.

    @cached_property
    def _outside(self) -> frozenset[int]:
        """Rows whose reference the constraint forbids, at another place than one the tokenizer cannot write."""
        if self._constraint is None:
            return frozenset()
        rules = DecodingRules(self._encoder, self._constraint)
        # So many tokens are left that the constraint finishes whatever it begins: lengths are a reason of their own.
        free = DecodingPreset(name="free", max_new_tokens=UNLIMITED)

        def make(batch: Sequence[int]) -> list[LogitsProcessor]:
            dialogues = [self.dialogues[row] for row in batch]
            held = rules.for_batch(dialogues, free, prompt_length=PROMPT_LENGTH, num_source_tokens=[0] * len(batch))
            return list(held.processors)

        unknown = self._encoder.tokenizer.unk_token_id
        found = forbidden_positions(self.ids, make, width=self._width)
        return frozenset(
            row
            for row, positions in enumerate(found)
            if any(self.ids[row][position] != unknown for position in positions)
        )

    @cached_property
    def _unwritable(self) -> frozenset[int]:
        """Rows whose reference holds an unknown piece, or a terminator that would end it early."""
        lost = {self._encoder.tokenizer.unk_token_id, *self._encoder.terminator_ids}
        return frozenset(row for row, ids in enumerate(self.ids) if not lost.isdisjoint(ids[:-1]))

    @cached_property
    def _num_rewritten(self) -> int:
        return sum(
            row not in self._unwritable and self._encoder.decode(ids[:-1]) != reference_text(self.dialogues[row])
            for row, ids in enumerate(self.ids)
        )

    @cached_property
    def _width(self) -> int:
        ids: Iterable[int] = self._encoder.tokenizer.get_vocab().values()
        return 1 + max(ids)

    def _names(self, rows: frozenset[int]) -> list[str]:
        return [self.dialogues[row].example_id for row in sorted(rows)]

    # Which change helps.

    def _remedy(
        self, served: Mapping[DecodingPreset, Sequence[int]], forbidden: Mapping[str, frozenset[int]]
    ) -> tuple[str, int]:
        """The change of one field of one preset that leaves fewest references unreachable, and how many it leaves."""
        best, num_left = "", len(frozenset().union(*forbidden.values()))
        for preset, rows in served.items():
            for name in REASONS:
                mine = self._forbidden_by(name, preset, rows)
                if not mine:
                    continue
                field, changed = self._changed(name, preset, rows)
                others = frozenset().union(*(forbidden[other] for other in REASONS if other != name))
                left = others | (forbidden[name] - mine) | self._forbidden_by(name, changed, rows)
                if len(left) < num_left:
                    best, num_left = f"{field}: {_yaml(getattr(changed, field))} in preset '{preset.name}'", len(left)
        return best, num_left

    def _changed(self, name: str, preset: DecodingPreset, rows: Sequence[int]) -> tuple[str, DecodingPreset]:
        """The field that would be changed where a rule forbids too much, and the preset with it."""
        if name == "max_new_tokens":
            return name, replace(preset, max_new_tokens=self._longer(preset.max_new_tokens, rows))
        if name == "min_new_tokens":
            # The rule counts the tokens before the terminator.
            return name, replace(preset, min_new_tokens=min(len(self.ids[row]) for row in rows) - 1)
        if name == "bad_words":
            return name, replace(preset, bad_words=())
        by_word = replace(preset, no_repeat_ngram_unit="word")
        if len(self._forbidden_by(name, by_word, rows)) < len(self._forbidden_by(name, preset, rows)):
            return "no_repeat_ngram_unit", by_word
        for size in range(preset.no_repeat_ngram_size + 1, preset.no_repeat_ngram_size + 1 + _SIZE_STEPS):
            changed = replace(preset, no_repeat_ngram_size=size)
            if len(self._forbidden_by(name, changed, rows)) <= (1 - _HELD_SHARE) * len(rows):
                return name, changed
        return name, replace(preset, no_repeat_ngram_size=0)

    def _longer(self, limit: int | RowLength, rows: Sequence[int]) -> int | RowLength:
        """A limit like this one that holds nearly all references."""
        needed = _LENGTH_STEP * math.ceil(_nearly_longest([len(self.ids[row]) for row in rows]) / _LENGTH_STEP)
        if not isinstance(limit, RowLength):
            return needed
        lengths = {row: len(self.ids[row]) for row in rows if len(self.ids[row]) > limit.min}
        share = _nearly_longest([length / self._source_length(row) for row, length in lengths.items()])
        share = round(_SHARE_STEP * math.ceil(share / _SHARE_STEP), 6)
        return RowLength(per_source_token=max(share, limit.per_source_token), min=limit.min, max=max(needed, limit.max))


def _nearly_longest(lengths: Sequence[float]) -> float:
    return sorted(lengths)[min(int(_HELD_SHARE * len(lengths)), len(lengths) - 1)]


def own_processors(preset: DecodingPreset, encoder: Encoder) -> Iterator[LogitsProcessor]:
    """Processors that `generate` makes of a preset by itself, as far as they forbid anything.

    Source: `GenerationMixin._get_logits_processor` of transformers.
    """
    arguments = preset.generation_kwargs(tokenizer=encoder.tokenizer)
    ends = torch.tensor(encoder.terminator_ids)
    if arguments["bad_words_ids"] is not None:
        yield NoBadWordsLogitsProcessor(arguments["bad_words_ids"], ends)
    if arguments["min_new_tokens"]:
        yield MinNewTokensLengthLogitsProcessor(PROMPT_LENGTH, arguments["min_new_tokens"], ends)


def reference_text(row: Dialogue) -> str:
    """The text that is learnt of a row: its first reference, or the last turn of a chat."""
    return (row.messages[-1].content if row.messages else row.references[0]).strip()


def _yaml(value: Any) -> str:
    return "[]" if value == () else str(value).lower()
