"""What generation pays for a ban on repetition: four tokens, three words, none.

Run: python -m benchmarks.repetition ROWS.csv --tokenizers DIR [--generate]

In: rows with references, and a folder with a tokenizer in each of its folders. Out: processor time of all rules of a
step in ms, medians over steps 11 to 59 of 32 rows of 4 beams, one thread; contenders take turns at every step. Or of
whole generations, in seconds: a model with random weights writes as many tokens as it may, 8 rows of 4 beams.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from transformers import BartConfig, BartForConditionalGeneration, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmarks.reachability import LIMITS, encoders, read_rows
from benchmarks.timing import interleaved_medians
from kosum_pl.decode import ConstraintSettings, DecodingPreset
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import CollateItem, Collator, Encoder, summary_ids
from kosum_pl.modules.generation import generate
from kosum_pl.types import Dialogue

BANS = {
    "four tokens": DecodingPreset(name="a", num_beams=4, no_repeat_ngram_size=4, no_repeat_ngram_unit="token"),
    "three words": DecodingPreset(name="b", num_beams=4, no_repeat_ngram_size=3),
    "none": DecodingPreset(name="c", num_beams=4),
}
NUM_ROWS, NUM_BEAMS, NUM_STEPS, NUM_WARM_UP = 32, 4, 60, 10
NUM_GENERATED_ROWS, NUM_ROUNDS = 8, 5


def generated(rows: Sequence[Dialogue], encoder: Encoder) -> tuple[list[Dialogue], torch.Tensor]:
    """The first rows whose reference, with the next row's behind it, is long enough, and ids of their beams."""

    def long_enough() -> Iterator[tuple[Dialogue, list[int]]]:
        for row, other in pairwise(rows):
            text = f"{row.references[0]} {other.references[0]}"
            ids = summary_ids(text, encoder=encoder, example_id=row.example_id)
            if len(ids) > NUM_STEPS:
                yield row, ids[:NUM_STEPS]

    chosen = [found for found, _ in zip(long_enough(), range(NUM_ROWS), strict=False)]
    ids = torch.tensor([[0, *ids] for _, ids in chosen])
    return [row for row, _ in chosen], ids.repeat_interleave(NUM_BEAMS, dim=0)


def step_times(rows: Sequence[Dialogue], encoder: Encoder, constraint: ConstraintSettings | None) -> dict[str, float]:
    """Median ms of a step by ban."""
    dialogues, ids = generated(rows, encoder)
    rules = DecodingRules(encoder, constraint)
    processors = {
        name: rules.for_batch(dialogues, ban, prompt_length=1, num_source_tokens=[0] * len(dialogues)).processors
        for name, ban in BANS.items()
    }
    scores = torch.randn(len(ids), len(encoder.tokenizer)).log_softmax(dim=1)
    times: dict[str, list[float]] = {name: [] for name in BANS}
    for step in range(1, NUM_STEPS):
        for name, rule in processors.items():
            own = scores.clone()
            start = time.process_time()
            rule(ids[:, :step], own)
            times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(found[NUM_WARM_UP:]) for name, found in times.items()}


def small_model(encoder: Encoder) -> PreTrainedModel:
    """Random weights over a tokenizer's vocabulary: an encoder-decoder of KoBART's shape, or a small Llama."""
    torch.manual_seed(0)
    tokens = {"vocab_size": len(encoder.tokenizer), "pad_token_id": encoder.tokenizer.pad_token_id}
    tokens |= {"eos_token_id": encoder.terminator_ids[0]}
    if encoder.is_causal:
        shape = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 6, "num_attention_heads": 12}
        return LlamaForCausalLM(LlamaConfig(**tokens, **shape)).eval()
    shape = {"d_model": 768, "encoder_layers": 6, "decoder_layers": 6, "encoder_ffn_dim": 3072, "decoder_ffn_dim": 3072}
    start = {"decoder_start_token_id": tokens["eos_token_id"], "forced_eos_token_id": None}
    return BartForConditionalGeneration(BartConfig(**tokens, **shape, **start)).eval()


def generation_times(
    rows: Sequence[Dialogue], encoder: Encoder, constraint: ConstraintSettings | None
) -> dict[str, float]:
    """Median seconds of processor time of a whole generation by ban."""
    collate = Collator(
        pad_token_id=int(encoder.tokenizer.pad_token_id), is_causal=encoder.is_causal, for_generation=True
    )
    examples = [encoder.encode(row, limits=LIMITS, with_summary=True) for row in rows[:NUM_GENERATED_ROWS]]
    batch = collate(
        [
            CollateItem(example=example, row=index, dialogue=rows[index], is_counted=True)
            for index, example in enumerate(examples)
        ]
    )
    model, rules = small_model(encoder), DecodingRules(encoder, constraint)
    exact = {
        name: replace(ban, max_new_tokens=NUM_STEPS, min_new_tokens=NUM_STEPS - 1, length_penalty=0.0)
        for name, ban in BANS.items()
    }

    def turn(name: str, _: int) -> Callable[[], object]:
        return partial(generate, model, batch, preset=exact[name], rules=rules)

    with torch.inference_mode():
        medians = interleaved_medians(
            {name: partial(turn, name) for name in BANS},
            num_rounds=NUM_ROUNDS,
            num_warm_up=1,
            device=torch.device("cpu"),
        )
    return medians.cpu


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--tokenizers", type=Path, required=True)
    parser.add_argument("--generate", action="store_true", help="time whole generations")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = read_rows([options.rows])
    print(f"| tokenizer | constraint | {' | '.join(BANS)} |", "| --- " * (len(BANS) + 2) + "|", sep="\n")
    for name, encoder in encoders(options.tokenizers, None):
        for constraint in (None, ConstraintSettings()):
            measure = generation_times if options.generate else step_times
            cells = (f"{time_:.1f}" for time_ in measure(rows, encoder, constraint).values())
            print(f"| {name} | {'yes' if constraint else 'no'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
