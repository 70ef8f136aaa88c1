"""From a batch of prompts to generated ids, text and log-probabilities.

In: a model, prompts and a preset. Out: `Completion`s. Ids are kept, logits never: a sequence's log-probability
comes from one teacher-forced pass over what was generated, with logits at the generated positions only. Under a
constraint it is the log-probability over what the row may hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from kosum_pl.decode import DecodingPreset
from kosum_pl.decode.rules import BatchRules, DecodingRules
from kosum_pl.decode.stopping import row_criteria
from kosum_pl.encode import Batch
from kosum_pl.modules.loss import row_log_probs, shift_right, supervised_logits
from kosum_pl.types import IGNORE_INDEX


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One generated sequence.

    Attributes:
        ids: Generated ids, the terminator included where it was reached.
        log_prob: Sum of their log-probabilities in nats.
        reached_eos: Whether the last id is a terminator.
    """

    ids: tuple[int, ...]
    log_prob: float
    reached_eos: bool


def generate(
    model: PreTrainedModel,
    batch: Batch,
    *,
    preset: DecodingPreset,
    rules: DecodingRules,
    attempt: int = 0,
    num_candidates: int = 1,
    encoder_states: Tensor | None = None,
) -> list[Completion]:
    """Generate one summary for every row of a batch, whose prompts are (B, P), left-padded for causal models.

    With several candidates those of a row stand together, (B * num_candidates,): draws, or the best beams.
    `encoder_states`, (B, P, H), come from `encode_prompts` where a batch is generated for more than once. Sampling
    draws anew at each attempt. The model is in evaluation mode; its `generation_config` holds special tokens only.
    """
    if batch.prompt_ids is None or batch.prompt_mask is None:
        raise ValueError("the batch has no prompts; collate it with for_generation=True")
    # What nobody generated stands in front: a causal model's prompt, an encoder-decoder's start token.
    encoder = rules.encoder
    prompt_length = batch.prompt_ids.shape[1] if encoder.is_causal else 1
    batch_rules = rules.for_batch(
        batch.dialogues,
        preset,
        prompt_length=prompt_length,
        num_source_tokens=batch.prompt_mask.sum(dim=1).tolist(),
        num_sequences=max(preset.num_beams, num_candidates),
    )
    limits = batch_rules.limits
    config = generation_config(model, preset, tokenizer=encoder.tokenizer)
    config.max_new_tokens, config.num_return_sequences = max(limits), num_candidates
    with _seeded(preset, row=batch.rows[0], attempt=attempt), batch_rules.head(model):
        sequences = model.generate(
            input_ids=batch.prompt_ids,
            attention_mask=batch.prompt_mask,
            generation_config=config,
            logits_processor=batch_rules.processors,
            stopping_criteria=row_criteria(limits, prompt_length=prompt_length),
            **_encoded(encoder_states),
        )
    generated = sequences[:, prompt_length:]
    origins = torch.arange(len(batch.rows)).repeat_interleave(num_candidates)
    labels, lengths, finished = completion_labels(
        generated, encoder.terminator_ids, limits=[limits[row] for row in origins]
    )
    log_probs = _log_probs(
        model,
        batch,
        labels=labels,
        num_tokens=sum(lengths),
        rules=batch_rules,
        origins=origins.to(labels.device),
        encoder_states=encoder_states,
    )
    return [
        Completion(ids=tuple(ids[:length]), log_prob=log_prob, reached_eos=is_finished)
        for ids, length, log_prob, is_finished in zip(
            generated.tolist(), lengths, log_probs.tolist(), finished, strict=True
        )
    ]


def encode_prompts(model: PreTrainedModel, batch: Batch) -> Tensor | None:
    """What an encoder makes of a batch's prompts, (B, P, H), for several `generate` calls on the same batch.

    A causal model has none. Its prompts' cache is no substitute: a prompt that is read in two parts, the cached one and
    its last token, rounds otherwise than one that is read at once, and the last bit can decide a beam.
    """
    if not model.config.is_encoder_decoder:
        return None
    states = model.get_encoder()(input_ids=batch.prompt_ids, attention_mask=batch.prompt_mask, return_dict=True)
    return cast("Tensor", states.last_hidden_state)


def completion_labels(
    generated: Tensor, terminator_ids: Sequence[int], *, limits: Sequence[int]
) -> tuple[Tensor, list[int], list[bool]]:
    """What of generated ids, (B, G), was generated: everything to the first terminator, or to the row's limit.

    The pad id decides nothing, as it may be a terminator itself: behind its limit a row has not ended.

    Args:
        generated: Ids, without the prompt.
        terminator_ids: Ids that end a summary.
        limits: Most tokens of each row, (B,).

    Returns:
        The ids with `IGNORE_INDEX` behind the end, (B, G); lengths; whether each row reached a terminator.

    Example:
        >>> completion_labels(torch.tensor([[5, 1, 1], [5, 6, 7], [5, 6, 1]]), [1], limits=[3, 3, 2])[1:]
        ([2, 3, 2], [True, False, False])
    """
    device = generated.device
    most = torch.tensor(list(limits), device=device).clamp(max=generated.shape[1])
    places = torch.arange(generated.shape[1], device=device)
    ends = torch.isin(generated, torch.tensor(list(terminator_ids), device=device)) & (places < most[:, None])
    has_end = ends.any(dim=1)
    lengths = torch.where(has_end, ends.int().argmax(dim=1) + 1, most)
    behind = places >= lengths[:, None]
    return generated.masked_fill(behind, IGNORE_INDEX), lengths.tolist(), has_end.tolist()


def generation_config(model: PreTrainedModel, preset: DecodingPreset, *, tokenizer: Any) -> GenerationConfig:
    """A preset with a model's special tokens, for `generate`; without repetition rules."""
    special = model.generation_config
    return GenerationConfig(
        **preset.generation_kwargs(tokenizer=tokenizer),
        pad_token_id=special.pad_token_id,
        bos_token_id=special.bos_token_id,
        eos_token_id=special.eos_token_id,
        decoder_start_token_id=special.decoder_start_token_id,
    )


def _encoded(encoder_states: Tensor | None) -> dict[str, Any]:
    """Keyword arguments that spare a model its encoder; a new object each time, as `generate` expands it in place."""
    return {} if encoder_states is None else {"encoder_outputs": BaseModelOutput(last_hidden_state=encoder_states)}


def _log_probs(
    model: PreTrainedModel,
    batch: Batch,
    *,
    labels: Tensor,
    num_tokens: int,
    rules: BatchRules,
    origins: Tensor,
    encoder_states: Tensor | None,
) -> Tensor:
    """Log-probability of each sequence's ids, (N,), over what its row may hold, without any rule of the preset.

    `origins` are the rows of the batch that the sequences are of, (N,).
    """
    if len(origins) > len(batch.rows):
        batch = batch.select_prompts(origins.tolist())
        encoder_states = None if encoder_states is None else encoder_states[origins]
    inputs, targets = _teacher_forced(model, batch, labels=labels)
    inputs |= _encoded(encoder_states)
    with rules.scoring_head(model):
        logits, flat = supervised_logits(model, targets, num_supervised=num_tokens, **inputs)
    rows = (targets != IGNORE_INDEX).nonzero()[:, 0]
    logits, flat = rules.allowed_logits(logits, flat, rows=origins[rows])
    return row_log_probs(logits, flat, rows=rows, num_rows=targets.shape[0])


def _teacher_forced(model: PreTrainedModel, batch: Batch, *, labels: Tensor) -> tuple[dict[str, Any], Tensor]:
    """Arguments of a forward pass over prompt and generated ids, and what each position predicts."""
    if batch.prompt_ids is None or batch.prompt_mask is None:
        raise ValueError("the batch has no prompts; collate it with for_generation=True")
    pad_token_id = int(model.generation_config.pad_token_id)
    if model.config.is_encoder_decoder:
        start = int(model.generation_config.decoder_start_token_id)
        decoder_ids = shift_right(labels, start_token_id=start, pad_token_id=pad_token_id)
        inputs = {
            "input_ids": batch.prompt_ids,
            "attention_mask": batch.prompt_mask,
            "decoder_input_ids": decoder_ids,
        }
        return inputs, labels
    ids = torch.cat([batch.prompt_ids, labels.masked_fill(labels == IGNORE_INDEX, pad_token_id)], dim=1)
    mask = torch.cat([batch.prompt_mask, (labels != IGNORE_INDEX).to(batch.prompt_mask.dtype)], dim=1)
    targets = torch.full_like(ids, IGNORE_INDEX)
    targets[:, batch.prompt_ids.shape[1] - 1 : -1] = labels
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}, targets


@contextmanager
def _seeded(preset: DecodingPreset, *, row: int, attempt: int) -> Iterator[None]:
    """Sampling draws from its own stream, so that validation neither varies nor moves the training's."""
    if not preset.do_sample:
        yield
        return
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(((preset.seed or 0) + 7919 * attempt) * 1_000_003 + row)
        yield
