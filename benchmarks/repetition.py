"""What a generation step pays for a ban on repetition: four tokens, three words, none.

Run: python -m benchmarks.repetition ROWS.csv --tokenizers DIR

In: rows with references, and a folder with a tokenizer in each of its folders. Out: processor time of all rules of a
step in ms, medians over steps 11 to 59 of 32 rows of 4 beams, one thread; contenders take turns at every step.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.reachability import encoders, read_rows
from kosum_pl.decode import ConstraintSettings, DecodingPreset
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Encoder, summary_ids
from kosum_pl.types import Dialogue

BANS = {
    "four tokens": DecodingPreset(name="a", num_beams=4, no_repeat_ngram_size=4, no_repeat_ngram_unit="token"),
    "three words": DecodingPreset(name="b", num_beams=4, no_repeat_ngram_size=3),
    "none": DecodingPreset(name="c", num_beams=4),
}
NUM_ROWS, NUM_BEAMS, NUM_STEPS, NUM_WARM_UP = 32, 4, 60, 10


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


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--tokenizers", type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows = read_rows([options.rows])
    print(f"| tokenizer | constraint | {' | '.join(BANS)} |", "| --- " * (len(BANS) + 2) + "|", sep="\n")
    for name, encoder in encoders(options.tokenizers, None):
        for constraint in (None, ConstraintSettings()):
            times = step_times(rows, encoder, constraint)
            cells = (f"{time_:.1f}" for time_ in times.values())
            print(f"| {name} | {'yes' if constraint else 'no'} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
