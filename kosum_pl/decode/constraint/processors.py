"""Logits processors of the constraints: scores of a step in, scores with everything else at minus infinity out.

In: ids (N, T), scores (N, V). Out: scores (N, V). A step gathers the few thousand columns that can be allowed in the
batch at all, masks them by the sequences' states and writes them into rows of minus infinity: the full vocabulary is
written once and never read. A processor works row by row, in its caches, a GPU on all rows at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor

from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.tables import UNREACHABLE
from kosum_pl.decode.constraint.tracker import ENDED, StateTracker

REFILL: Final = -1e4
"""Score of what is allowed where another rule has left nothing: finite, and below any score of a model."""


@dataclass(frozen=True, kw_only=True)
class GenerationShape:
    """What a constraint has to know of the `generate` call that it serves.

    Attributes:
        prompt_length: Leading positions that nobody generates: the width of a padded prompt; 1, the start token, for
            an encoder-decoder; 0 where `inputs_embeds` are given.
        max_new_tokens: Most tokens that are generated, by row where rows differ; a character is never begun that could
            not be finished.
        num_beams: Beams of each row.
        has_forced_bos: Whether `forced_bos_token_id` takes the first step.
        has_forced_eos: Whether `forced_eos_token_id` takes the last step.
        overwrites_scores: Write into the scores themselves, which saves a copy of (N, V); wrong where the caller keeps
            them (`output_logits`).
    """

    prompt_length: int
    max_new_tokens: int | tuple[int, ...]
    num_beams: int = 1
    has_forced_bos: bool = False
    has_forced_eos: bool = False
    overwrites_scores: bool = False

    def __post_init__(self) -> None:
        if self.has_forced_eos and not isinstance(self.max_new_tokens, int):
            raise ValueError("a forced EOS takes the call's last step, not a row's; give max_new_tokens one number")

    def tokens_left(self, num_generated: int, *, row: int = 0) -> int:
        """Tokens of the model's own choice that may follow the next one of a row."""
        limit = self.max_new_tokens if isinstance(self.max_new_tokens, int) else self.max_new_tokens[row]
        return min(max(limit - num_generated - 1 - self.has_forced_eos, 0), UNREACHABLE - 1)


@dataclass(frozen=True, eq=False, kw_only=True)
class AllowedColumns:
    """Ids that a batch may ever be allowed.

    Attributes:
        ids: Ascending, (C,) int64.
        is_denied: Those that a row is never allowed, though another row is, (B, C) bool; None where rows do not differ.
    """

    ids: Tensor
    is_denied: Tensor | None

    def to(self, device: torch.device) -> AllowedColumns:
        """The same on a device."""
        is_denied = None if self.is_denied is None else self.is_denied.to(device)
        return AllowedColumns(ids=self.ids.to(device), is_denied=is_denied)

    def denied(self, num_sequences: int) -> Tensor | None:
        """`is_denied` for the sequences of a batch, of which each row has as many as every other, (N, C)."""
        if self.is_denied is None:
            return None
        return self.is_denied.repeat_interleave(num_sequences // len(self.is_denied), dim=0)

    def spread(self, kept: Tensor, *, like: Tensor, overwrite: bool = False) -> Tensor:
        """Values of the columns, (N, C), within minus infinity everywhere else, (N, V)."""
        full = like.fill_(-math.inf) if overwrite else torch.full_like(like, -math.inf)
        return full.index_copy_(-1, self.ids, kept)


class AutomatonProcessor(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """Keeps what the automaton allows next.

    With several beams scores are renormalised over what the row may ever say: they arrive as log-probabilities over the
    whole vocabulary.

    Args:
        tracker: State of each sequence.
        columns: Ids that the batch may ever be allowed, C of them.
        cost: From `AutomatonConstraint.cost`, (Q + 2, C) uint8.
        shape: The call of `generate`.
    """

    # Rows come and go there, and a state is bound to its row.
    supports_continuous_batching = False

    def __init__(
        self, tracker: StateTracker, *, columns: AllowedColumns, cost: NDArray[np.uint8], shape: GenerationShape
    ) -> None:
        self.tracker = tracker
        self.shape = shape
        self._columns = columns
        self._cost = torch.from_numpy(cost)
        # Beyond the longest finite cost, more tokens that are left allow nothing more.
        self._longest = int(cost[cost < UNREACHABLE].max(initial=0))
        self._denied_by_index: tuple[int, Tensor] | None = None
        self._allowed_by_index: dict[tuple[int, int], NDArray[np.int64]] = {}
        self._ids = columns.ids.numpy()
        self._row_columns: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.uint8]]] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores, (N, V), with everything that is not allowed at minus infinity; `input_ids` is (N, T)."""
        num_generated = input_ids.shape[1] - self.shape.prompt_length
        if self.shape.has_forced_bos and num_generated == 0:
            return scores
        states = self.tracker.states(input_ids)
        left = self._tokens_left(num_generated, num_sequences=len(states))
        if self.shape.num_beams == 1 and scores.is_cpu and scores.dtype == torch.float32:
            return self._kept_row_by_row(scores.detach(), states, left=left)
        self._columns = self._columns.to(scores.device)
        is_denied = self._denied(states, left=left, device=scores.device)
        kept = scores.index_select(1, self._columns.ids)
        if self.shape.num_beams > 1:
            denied = self._columns.denied(len(scores))
            ever = kept if denied is None else kept.masked_fill(denied, -math.inf)
            # Clamped: where another rule has left nothing, minus infinity less minus infinity is no number.
            total = ever.logsumexp(dim=1, keepdim=True).clamp_min(torch.finfo(kept.dtype).min)
            kept = kept - total
        kept.masked_fill_(is_denied, -math.inf)
        # Another rule, or a model's own minus infinity, may have left nothing of what is allowed.
        is_empty = kept.amax(dim=1, keepdim=True) == -math.inf
        if not is_empty.is_cpu or is_empty.any():  # a look saves a pass; elsewhere it would wait for the device
            kept.masked_fill_(is_empty & ~is_denied, REFILL)
        return self._columns.spread(kept, like=scores, overwrite=self.shape.overwrites_scores)

    def _tokens_left(self, num_generated: int, *, num_sequences: int) -> list[int]:
        """Tokens that may follow the next one of each sequence."""
        if isinstance(self.shape.max_new_tokens, int):
            return [self.shape.tokens_left(num_generated)] * num_sequences
        rows = [self.shape.tokens_left(num_generated, row=row) for row in range(len(self.tracker.rows))]
        return [rows[self.tracker.row_of(sequence, num_sequences)] for sequence in range(num_sequences)]

    def _kept_row_by_row(self, scores: Tensor, states: Sequence[int], *, left: Sequence[int]) -> Tensor:
        """Scores, (N, V), as a call returns them: a row stays in the cache from its reading to its writing."""
        full = scores if self.shape.overwrites_scores else torch.empty_like(scores)
        for sequence, (state, source, target) in enumerate(zip(states, scores.numpy(), full.numpy(), strict=True)):
            row = self.tracker.row_of(sequence, len(states))
            allowed = [self._allowed(self._index(state, row=row), left=left[sequence])]
            added = self.tracker.rows[row]
            if added is not None and state in added.tokens:
                # What a row adds is allowed as well or earlier than without it, never later.
                allowed.append(added.tokens[state][added.cost[state] <= left[sequence]])
            kept = [source.take(tokens) for tokens in allowed]
            # The first score nearly always tells; not a number is something left, as for all rows at once.
            is_left = any(part.size and (part[0] != -math.inf or part.max() != -math.inf) for part in kept)
            target.fill(-math.inf)
            for tokens, part in zip(allowed, kept, strict=True):
                target[tokens] = part if is_left else REFILL
        return full

    def _allowed(self, index: int, *, left: int) -> NDArray[np.int64]:
        """Ids that every row is allowed in a state."""
        key = (min(left, self._longest), index)
        if key not in self._allowed_by_index:
            self._allowed_by_index[key] = self._ids[self._cost[index].cpu().numpy() <= key[0]]
        return self._allowed_by_index[key]

    def _index(self, state: int, *, row: int) -> int:
        """Row of the costs that belongs to a row state."""
        common = self.tracker.common_state(state, row=row)
        num_common = len(self._cost) - 2
        return num_common + 1 if common == ENDED else num_common if common == DEAD else common

    def _denied(self, states: Sequence[int], *, left: Sequence[int], device: torch.device) -> Tensor:
        """Columns that are not allowed in each sequence's state, or from which no text can be finished, (N, C)."""
        indices, sequences, columns, excess = [], [], [], []
        for sequence, state in enumerate(states):
            row = self.tracker.row_of(sequence, len(states))
            indices.append(self._index(state, row=row))
            added, cost = self._columns_of_row_state(row, state)
            if len(added):
                sequences.append(np.full(len(added), sequence))
                columns.append(added)
                excess.append(cost > left[sequence])
        is_denied = self._denied_commonly(torch.tensor(indices, device=device), left=left)
        if sequences:
            where = torch.from_numpy(np.stack([np.concatenate(sequences), np.concatenate(columns)])).to(device)
            is_denied[where[0], where[1]] = torch.from_numpy(np.concatenate(excess)).to(device)
        return is_denied

    def _denied_commonly(self, indices: Tensor, *, left: Sequence[int]) -> Tensor:
        """Columns that no row may have in the states of these indices, (N,), so many tokens before the end, (N, C)."""
        distinct = {min(each, self._longest) for each in set(left)}
        if len(distinct) == 1:
            return self._denied_table(*distinct, device=indices.device).index_select(0, indices)
        self._cost = self._cost.to(indices.device)
        return self._cost.index_select(0, indices) > torch.tensor(left, device=indices.device)[:, None]

    def _denied_table(self, left: int, *, device: torch.device) -> Tensor:
        """Columns that are not allowed in each state, (Q + 2, C); the same at nearly every step."""
        if self._denied_by_index is None or self._denied_by_index[0] != left:
            self._denied_by_index = (left, (self._cost > left).to(device))
        return self._denied_by_index[1]

    def _columns_of_row_state(self, row: int, state: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Columns that a row's words add in a state, and their costs."""
        if (row, state) not in self._row_columns:
            added = self.tracker.rows[row]
            tokens = added.tokens.get(state) if added is not None else None
            if added is None or tokens is None:
                found = (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8))
            else:
                found = (np.searchsorted(self._ids, tokens), added.cost[state])
            self._row_columns[row, state] = found
        return self._row_columns[row, state]


class StaticMaskProcessor(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """Keeps the same columns at every step."""

    supports_continuous_batching = False

    def __init__(self, columns: AllowedColumns, *, shape: GenerationShape) -> None:
        self.shape = shape
        self._columns = columns

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores, (N, V), with all other columns at minus infinity; `input_ids` is (N, T)."""
        if self.shape.has_forced_bos and input_ids.shape[1] == self.shape.prompt_length:
            return scores
        self._columns = self._columns.to(scores.device)
        kept = scores.index_select(1, self._columns.ids)
        denied = self._columns.denied(len(scores))
        if denied is not None:
            kept.masked_fill_(denied, -math.inf)
        if self.shape.num_beams > 1:
            kept = kept.log_softmax(dim=1)
        return self._columns.spread(kept, like=scores, overwrite=self.shape.overwrites_scores)
