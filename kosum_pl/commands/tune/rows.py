"""Which rows are tuned on, and what a preset scores on them, row by row.

In: a module with weights, rows of the validation split, presets. Out: `rouge_sum` of every row. Prompts are encoded and
collated once for all trials, and an encoder-decoder's encoder runs once a batch: the summaries are the same to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from kosum_pl.cli.parts import Parts
from kosum_pl.data import DialogueTable, EvaluationBatchSampler
from kosum_pl.data.profiles import profile_values
from kosum_pl.data.slices import SliceFilter
from kosum_pl.decode import DecodingPreset
from kosum_pl.encode import Batch, Collator
from kosum_pl.encode.table import EncodedRows
from kosum_pl.errors import UsageError
from kosum_pl.inference import InferenceSettings, precision_context
from kosum_pl.metrics.rouge import score_rows
from kosum_pl.metrics.tokenize import get_tokenizer
from kosum_pl.modules.generation import encode_prompts
from kosum_pl.modules.out_of_memory import Demand, in_parts

LEAST_ROWS = 20
"""Rows that a slice must have: below, a held-out half says nothing."""
_LEAST_BATCHES = 4  # so that a bad trial can be stopped before its end


def select_rows(table: DialogueTable, slices: Sequence[str]) -> tuple[list[int], dict[str, list[str]]]:
    """Indices of the rows of a slice, and the slice as a preset's `when`.

    Args:
        table: The validation split.
        slices: Conditions, `column=value` or `column=value,value` each; none for all rows.

    Raises:
        ValueError: A condition is wrong, a preset cannot ask for it, or too few rows match.
    """
    condition = SliceFilter.parse(slices)
    rows = condition.rows(table, split="val").tolist() if condition else list(range(len(table)))
    when: dict[str, list[str]] = {}
    for column, _ in condition.conditions:
        if not all(column in table[row].profile for row in rows):
            raise UsageError(f"--slice {condition.name}: a preset cannot ask for {column}, which is no profile column")
        when[column] = sorted(set(profile_values((table[row] for row in rows), column=column)))
    if len(rows) < LEAST_ROWS:
        raise UsageError(
            f"{f'--slice {condition.name}' if condition else 'tune'}: {len(rows)} of {len(table):,} rows of val; "
            f"tuning needs {LEAST_ROWS}: take a wider slice, or give data.val_file more rows"
        )
    return rows, when


def split_rows(rows: Sequence[int], *, ids: Sequence[str], held_out: float, seed: int) -> tuple[list[int], list[int]]:
    """A tuning part and a held-out part, by a seeded hash of the rows' ids: the file's order decides nothing.

    `held_out` is the share of the second part. Both parts keep the order of `rows`, to which `ids` belong.

    Raises:
        ValueError: A part would have fewer than half of `LEAST_ROWS`.

    Example:
        >>> [len(part) for part in split_rows(range(40), ids=[f"row_{n}" for n in range(40)], held_out=0.25, seed=1)]
        [30, 10]
    """
    keys = [sha256(f"{seed}:{name}".encode()).digest() for name in ids]
    ordered = sorted(range(len(rows)), key=keys.__getitem__)
    num_held_out = round(len(rows) * held_out)
    smaller = min(num_held_out, len(rows) - num_held_out)
    if smaller < LEAST_ROWS // 2:
        raise UsageError(
            f"--held_out {held_out:g} of {len(rows)} rows leaves a part of {smaller}; each needs {LEAST_ROWS // 2}"
        )
    kept = sorted(ordered[num_held_out:]), sorted(ordered[:num_held_out])
    return [rows[index] for index in kept[0]], [rows[index] for index in kept[1]]


@dataclass(frozen=True, eq=False, slots=True)
class _Piece:
    """A collated batch, what the encoder made of it, and its rows' indices among the scored rows."""

    batch: Batch
    states: Tensor | None
    indices: list[int]


def _nameless(preset: DecodingPreset) -> DecodingPreset:
    return replace(preset, name="any", when={})


class RowScorer:
    """Scores presets on the same rows again and again, as `validate` would.

    Args:
        parts: Module with weights, data module after `setup("validate")`.
        rows: Indices in the validation split.
    """

    def __init__(self, parts: Parts, rows: Sequence[int], settings: InferenceSettings, *, device: torch.device) -> None:
        self.rows = list(rows)
        self._module, self._device = parts.module, device
        self.precision_context = precision_context(settings.precision, device)
        self.precision_context.convert_module(parts.module).to(device).eval()
        scored_as = parts.module.evaluation.settings
        self._tokenizer = get_tokenizer(scored_as.rouge_tokenizer)
        self._multi_reference = scored_as.multi_reference
        self._pieces = list(self._encode(parts, settings.batch_size))
        self.num_batches = len(self._pieces)
        self._known: dict[DecodingPreset, np.ndarray] = {}

    def running_scores(self, preset: DecodingPreset) -> Iterator[np.ndarray]:
        """`rouge_sum` of the rows so far, after each batch; not in the rows' order."""
        scores = np.empty(0)
        for piece in self._pieces:
            scores = np.concatenate([scores, self._score(piece, preset)])
            yield scores

    def in_row_order(self, scores: np.ndarray) -> np.ndarray:
        """Scores of all batches, (N,), in the order of `rows`."""
        ordered = np.empty(len(self.rows))
        ordered[[index for piece in self._pieces for index in piece.indices]] = scores
        return ordered

    def scores(self, preset: DecodingPreset) -> np.ndarray:
        """`rouge_sum` of every row, (N,), 0-300, in the order of `rows`."""
        known = self._known.get(_nameless(preset))
        if known is None:
            *_, scores = self.running_scores(preset)
            known = self.in_row_order(scores)
            self.remember(preset, known)
        return known

    def remember(self, preset: DecodingPreset, scores: np.ndarray) -> None:
        """Take a preset's scores as known, (N,), in the order of `rows`."""
        self._known[_nameless(preset)] = scores

    def _score(self, piece: _Piece, preset: DecodingPreset) -> np.ndarray:
        module = self._module
        states = piece.states.to(self._device) if piece.states is not None else None
        with torch.inference_mode(), self.precision_context.val_step_context():
            predictions = module.summarize_batch(piece.batch.to(self._device), preset=preset, encoder_states=states)
        scores = score_rows(
            [prediction.text for prediction in predictions],
            [prediction.references for prediction in predictions],
            tokenizer=self._tokenizer,
            multi_reference=self._multi_reference,
        )
        return np.asarray(100 * scores.sum(axis=1))

    def _encode(self, parts: Parts, batch_size: int) -> Iterator[_Piece]:
        module, encoded = parts.module, parts.datamodule.encoded["val"]
        items = EncodedRows(encoded, dialogues=parts.datamodule.tables["val"], rows=np.asarray(self.rows))
        collate = Collator(
            pad_token_id=int(module.encoder.tokenizer.pad_token_id), is_causal=module.is_causal, for_generation=True
        )
        sampler = EvaluationBatchSampler(
            encoded.prompt_lengths[self.rows],
            batch_size=max(1, min(batch_size, math.ceil(len(self.rows) / _LEAST_BATCHES))),
        )
        for indices in sampler:
            batch = collate([items[index] for index in indices])
            with torch.inference_mode(), self.precision_context.val_step_context():
                encoded_parts = list(in_parts(batch, self._states, demand=Demand(work="is encoded")))
            for part, places, states in encoded_parts:
                yield _Piece(part, states, list(indices[places.start : places.stop]))

    def _states(self, batch: Batch, _: range) -> Tensor | None:
        """What the encoder makes of a batch's prompts; of all batches together more than a GPU has beside the model."""
        states = encode_prompts(self._module.language_model, batch.to(self._device))
        return states.cpu() if states is not None else None
