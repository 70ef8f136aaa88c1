"""Rows of ids → padded tensors.

In: `EncodedExample`s with their index in the split. Out: a `Batch`. Padding is on the right for the loss and on the
left for generation, as the collator's argument says; masks go by length, since a pad id may be EOS.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from kosum_pl.types import IGNORE_INDEX, Dialogue, EncodedExample


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateItem:
    """One row on its way into a batch.

    Attributes:
        row: The row's index in the split.
        dialogue: What was encoded; needed for evaluation only.
        is_counted: False for a row that only fills up another rank's batch.
    """

    example: EncodedExample
    row: int
    dialogue: Dialogue | None = None
    is_counted: bool = True


@dataclass(slots=True, kw_only=True)
class Batch:
    """B rows as tensors: T tokens (causal: prompt + completion; Seq2Seq: source), P prompt tokens, U target tokens.

    Attributes:
        example_ids: The rows' ids, (B,).
        rows: The rows' indices in the split, (B,).
        input_ids: (B, T) int64, right-padded.
        attention_mask: (B, T) int64, 1 where a token stands.
        labels: Causal (B, T), Seq2Seq (B, U) int64, `IGNORE_INDEX` where nothing is learnt; None without summaries.
        prompt_ids: For generation: causal (B, P) int64, left-padded; Seq2Seq: `input_ids`. Otherwise None.
        dialogues: The rows (B,) in evaluation, otherwise empty.
        is_counted: Whether the rows' scores count; False in a batch that another rank scores too.
        num_supervised_tokens: Tokens in the batch that are learnt.
        num_real_tokens: Tokens that the model reads, padding left out: source and target.
    """

    example_ids: tuple[str, ...]
    rows: tuple[int, ...]
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor | None
    prompt_ids: Tensor | None
    prompt_mask: Tensor | None
    dialogues: tuple[Dialogue, ...]
    is_counted: bool = True
    num_supervised_tokens: int
    num_real_tokens: int

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch with its tensors on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch with its tensors in pinned memory; called by the data loader."""
        return self._map(lambda tensor: tensor.pin_memory())

    def select_prompts(self, indices: Sequence[int]) -> Batch:
        """Some rows, to generate for them again: prompts and dialogues, without labels."""
        if self.prompt_ids is None or self.prompt_mask is None:
            raise ValueError("the batch has no prompts; collate it with for_generation=True")
        chosen = torch.tensor(list(indices), device=self.prompt_ids.device)
        prompt_ids, prompt_mask = self.prompt_ids[chosen], self.prompt_mask[chosen]
        return Batch(
            example_ids=tuple(self.example_ids[index] for index in indices),
            rows=tuple(self.rows[index] for index in indices),
            input_ids=prompt_ids,
            attention_mask=prompt_mask,
            labels=None,
            prompt_ids=prompt_ids,
            prompt_mask=prompt_mask,
            dialogues=tuple(self.dialogues[index] for index in indices),
            is_counted=self.is_counted,
            num_supervised_tokens=0,
            num_real_tokens=int(prompt_mask.sum()),
        )

    def select(self, indices: Sequence[int]) -> Batch:
        """Some rows as a batch of their own: the one that the collator would have made of them, so no wider."""
        if self.prompt_ids is None or self.prompt_mask is None:
            raise ValueError("the batch has no prompts; collate it with for_generation=True")
        chosen = torch.tensor(list(indices), device=self.input_ids.device)
        ids, mask = _without_empty_columns(self.input_ids[chosen], self.attention_mask[chosen])
        is_shared = self.prompt_ids is self.input_ids  # of an encoder-decoder, or of rows without labels
        prompt_ids, prompt_mask = ids, mask
        if not is_shared:
            prompt_ids, prompt_mask = _without_empty_columns(self.prompt_ids[chosen], self.prompt_mask[chosen])
        labels = None if self.labels is None else self.labels[chosen]
        num_supervised = 0 if labels is None else int((labels != IGNORE_INDEX).sum())
        if labels is not None:
            longest = int(_label_lengths(labels).max()) if is_shared else ids.shape[1]
            labels = labels[:, :longest] if num_supervised else None
        num_targets = 0 if labels is None or not is_shared else int(_label_lengths(labels).sum())
        return Batch(
            example_ids=tuple(self.example_ids[index] for index in indices),
            rows=tuple(self.rows[index] for index in indices),
            input_ids=ids,
            attention_mask=mask,
            labels=labels,
            prompt_ids=prompt_ids,
            prompt_mask=prompt_mask,
            dialogues=tuple(self.dialogues[index] for index in indices),
            is_counted=self.is_counted,
            num_supervised_tokens=num_supervised,
            num_real_tokens=int(mask.sum()) + num_targets,
        )

    def _map(self, move: Callable[[Tensor], Tensor]) -> Batch:
        tensors = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        tensors = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
        # Seq2Seq: `prompt_ids` is `input_ids`; one tensor is moved once.
        moved = {id(value): move(value) for value in {id(value): value for value in tensors.values()}.values()}
        changes: dict[str, Any] = {name: moved[id(value)] for name, value in tensors.items()}
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class Collator:
    """Pads rows into a `Batch`.

    Attributes:
        pad_token_id: What fills the ids; no mask depends on it.
        is_causal: Whether labels stand beside the inputs, or are a sequence of their own.
        for_generation: Whether prompts are added (causal: left-padded) and dialogues kept.
        pad_to_multiple_of: Rounds lengths up, for hardware that wants it.

    Example:
        >>> example = EncodedExample(example_id="a", input_ids=[5, 6, 2], labels=[-100, 6, 2], prompt_length=1)
        >>> collate = Collator(pad_token_id=2, is_causal=True, for_generation=False, pad_to_multiple_of=4)
        >>> batch = collate([CollateItem(example=example, row=0)])
        >>> batch.input_ids.tolist(), batch.attention_mask.tolist(), batch.labels.tolist()
        ([[5, 6, 2, 2]], [[1, 1, 1, 0]], [[-100, 6, 2, -100]])
    """

    pad_token_id: int
    is_causal: bool
    for_generation: bool
    pad_to_multiple_of: int | None = None

    def __call__(self, items: Sequence[CollateItem]) -> Batch:
        """A batch of B rows, of which either all count or none does."""
        if not items:
            raise ValueError("a batch of no rows; let the batch sampler give at least one")
        if len({item.is_counted for item in items}) > 1:
            raise ValueError("a batch mixes rows that count with rows that fill up; let the batch sampler part them")
        examples = [item.example for item in items]
        input_ids, attention_mask = self._pad([example.input_ids for example in examples])
        labels, num_supervised, num_targets = self._labels(examples, width=input_ids.shape[1])
        prompt_ids, prompt_mask = self._prompts(examples, input_ids, attention_mask)
        return Batch(
            example_ids=tuple(example.example_id for example in examples),
            rows=tuple(item.row for item in items),
            input_ids=input_ids,
            attention_mask=attention_mask,
            labels=labels,
            prompt_ids=prompt_ids,
            prompt_mask=prompt_mask,
            dialogues=tuple(item.dialogue for item in items if item.dialogue) if self.for_generation else (),
            is_counted=items[0].is_counted,
            num_supervised_tokens=num_supervised,
            num_real_tokens=sum(len(example.input_ids) for example in examples) + num_targets,
        )

    def _labels(self, examples: Sequence[EncodedExample], *, width: int) -> tuple[Tensor | None, int, int]:
        """Labels, how many of them are learnt, and how many target tokens are read beside the inputs."""
        rows = [example.labels for example in examples]
        if not any(len(row) for row in rows):
            return None, 0, 0
        width = width if self.is_causal else self._width(rows)
        labels = torch.full((len(rows), width), IGNORE_INDEX, dtype=torch.long)
        for index, row in enumerate(rows):
            labels[index, : len(row)] = torch.as_tensor(row, dtype=torch.long)
        return labels, int((labels != IGNORE_INDEX).sum()), 0 if self.is_causal else sum(map(len, rows))

    def _prompts(
        self, examples: Sequence[EncodedExample], input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        if not self.for_generation:
            return None, None
        if not self.is_causal:
            return input_ids, attention_mask
        return self._pad([example.input_ids[: example.prompt_length] for example in examples], is_left=True)

    def _pad(self, rows: Sequence[Sequence[int]], *, is_left: bool = False) -> tuple[Tensor, Tensor]:
        """Padded ids and their mask, (B, T) each."""
        width = self._width(rows)
        ids = torch.full((len(rows), width), self.pad_token_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            filled = slice(width - len(row), width) if is_left else slice(0, len(row))
            ids[index, filled] = torch.as_tensor(row, dtype=torch.long)
            mask[index, filled] = 1
        return ids, mask

    def _width(self, rows: Sequence[Sequence[int]]) -> int:
        longest = max(len(row) for row in rows)
        step = self.pad_to_multiple_of or 1
        return -(-longest // step) * step


def _label_lengths(labels: Tensor) -> Tensor:
    """Where each row's labels end, (B,); 0 where none is learnt."""
    places = torch.arange(1, labels.shape[1] + 1, device=labels.device)
    return ((labels != IGNORE_INDEX) * places).amax(dim=1)


def _without_empty_columns(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Padded ids and their mask, (B, T) each, without columns that pad every row; on whichever side those are."""
    filled = mask.any(dim=0).nonzero()
    columns = slice(int(filled[0]), int(filled[-1]) + 1)
    return ids[:, columns], mask[:, columns]
