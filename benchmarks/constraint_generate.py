"""Whole `generate()` calls with and without a constraint, and on a GPU the constraint's share of a decoding step.

In: a vocabulary and a model's shape. Out: median seconds, shares. Weights are random: what is written means nothing,
and takes as long as if it did. Every call writes the same number of tokens, as no terminator ends one.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, LogitsProcessorList

from benchmarks.constraint_vocabularies import PROMPT_LENGTH, Vocabulary
from benchmarks.timing import interleaved_medians, seconds_of
from kosum_pl.decode.constraint.head import constrained_head
from kosum_pl.decode.constraint.processors import GenerationShape

SHAPE_0_6B: Mapping[str, Any] = {
    "vocab_size": 128_256,
    "hidden_size": 1024,
    "num_hidden_layers": 8,
    "intermediate_size": 3072,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
}
SHAPE_3B: Mapping[str, Any] = {
    "vocab_size": 128_256,
    "hidden_size": 3072,
    "num_hidden_layers": 28,
    "intermediate_size": 8192,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
}
HEADS: Mapping[str, bool | None] = {
    "unconstrained": None,
    "full head + automaton": False,
    "small head + automaton": True,
}
"""Whether the head is small, by contender; None for no constraint."""
MODES: Mapping[str, int] = {"greedy": 1, "beams": 4}


def random_model(shape: Mapping[str, Any], *, device: torch.device, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A decoder with random weights, embeddings tied."""
    torch.manual_seed(0)
    config = LlamaConfig(**shape, tie_word_embeddings=True, bos_token_id=None, eos_token_id=None, pad_token_id=0)
    with torch.device(device):
        model: nn.Module = LlamaForCausalLM(config).to(dtype).eval()
    return model


def generate_seconds(
    vocabulary: Vocabulary,
    model: Any,
    *,
    num_rows: int,
    num_new_tokens: int,
    num_repeats: int,
) -> dict[str, Any]:
    """Median seconds of a call by mode and contender; and whether both constrained ones wrote the same tokens."""
    found: dict[str, Any] = {}
    prompts = torch.randint(256, vocabulary.size, (num_rows, PROMPT_LENGTH)).to(model.device)
    for mode, num_beams in MODES.items():
        written: dict[str, Tensor] = {}

        def turn(
            name: str, _: int, num_beams: int = num_beams, written: dict[str, Tensor] = written
        ) -> Callable[[], None]:
            def work() -> None:
                written[name] = generated(
                    vocabulary, model, prompts, is_small=HEADS[name], num_beams=num_beams, num_tokens=num_new_tokens
                )

            return work

        medians = interleaved_medians(
            {name: partial(turn, name) for name in HEADS},
            num_rounds=num_repeats,
            num_warm_up=0,
            device=model.device,
        )
        same = (written["full head + automaton"] == written["small head + automaton"]).float().mean().item()
        found[mode] = {"seconds": medians.wall, "cpu_seconds": medians.cpu, "same_tokens": same}
    return found


def generated(
    vocabulary: Vocabulary, model: Any, prompts: Tensor, *, is_small: bool | None, num_beams: int, num_tokens: int
) -> Tensor:
    """Ids of one call, (B, P + T)."""
    shape = GenerationShape(
        prompt_length=prompts.shape[1], max_new_tokens=num_tokens, num_beams=num_beams, overwrites_scores=True
    )
    processors = LogitsProcessorList()
    head: Any = nullcontext()
    if is_small is not None:
        constraint = vocabulary.constraint.for_rows([[]] * len(prompts), shape)
        processors.append(constraint.processor)
        head = constrained_head(model, constraint.columns, is_small=is_small)
    with torch.no_grad(), head:
        ids: Tensor = model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            logits_processor=processors,
            max_new_tokens=num_tokens,
            num_beams=num_beams,
            do_sample=False,
            eos_token_id=None,
        )
    return ids


@torch.no_grad()
def share_of_decoding_step(
    vocabulary: Vocabulary, model: Any, *, num_rows: int, num_prompt_tokens: int, num_steps: int, num_warm_up: int
) -> dict[str, float]:
    """Median seconds of a greedy step's parts with a cache, and the automaton's share of the step.

    Args:
        vocabulary: What the model writes.
        model: A decoder.
        num_rows: Rows.
        num_prompt_tokens: Tokens in the cache at the start.
        num_steps: Steps that count.
        num_warm_up: Steps before them.
    """
    device = model.device
    num_tokens = num_steps + num_warm_up
    shape = GenerationShape(prompt_length=num_prompt_tokens, max_new_tokens=4 * num_tokens, overwrites_scores=True)
    processor = vocabulary.constraint.for_rows([[]] * num_rows, shape).processor
    ids = torch.randint(256, vocabulary.size, (num_rows, num_prompt_tokens), device=device)
    output = model(input_ids=ids, use_cache=True, logits_to_keep=1)
    model_s, automaton_s, choice_s = [], [], []
    for _ in range(num_tokens):
        scores = output.logits[:, -1].float()
        elapsed, scores = seconds_of(partial(processor, ids, scores), device=device)
        automaton_s.append(elapsed)
        elapsed, token = seconds_of(partial(scores.argmax, dim=-1, keepdim=True), device=device)
        choice_s.append(elapsed)
        ids = torch.cat([ids, token], dim=1)
        work = partial(model, input_ids=token, past_key_values=output.past_key_values, use_cache=True)
        elapsed, output = seconds_of(work, device=device)
        model_s.append(elapsed)
    parts = {"model_s": model_s, "automaton_s": automaton_s, "choice_s": choice_s}
    medians = {name: statistics.median(seconds[num_warm_up:]) for name, seconds in parts.items()}
    return {**medians, "share": medians["automaton_s"] / sum(medians.values())}
