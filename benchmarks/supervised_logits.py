"""Loss at supervised positions against the model's own full computation: time and peak memory of one training step.

Run: python benchmarks/supervised_logits.py [--device cuda] [--hidden 1024 --layers 8 --vocab 151936]
Each side runs in a process of its own, as peak memory is a process's; medians over repeats, warmed up.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from kosum_pl.modules.loss import cross_entropy_sum, next_token_targets, supervised_logits
from kosum_pl.types import IGNORE_INDEX


def step(side: str, options: argparse.Namespace) -> dict[str, float]:
    """Time and memory of `side`: `ours` or `full`."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "llama", vocab_size=options.vocab, hidden_size=options.hidden, intermediate_size=2 * options.hidden,
        num_hidden_layers=options.layers, num_attention_heads=8, tie_word_embeddings=True,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).to(options.device).train()
    inputs = torch.randint(3, options.vocab, (options.rows, options.length), device=options.device)
    labels = inputs.clone()
    labels[:, : -options.supervised] = IGNORE_INDEX
    num_supervised = options.rows * options.supervised
    seconds = []
    for repeat in range(options.repeats + 2):
        start = time.perf_counter()
        if side == "full":
            loss = model(input_ids=inputs, labels=labels, use_cache=False).loss
        else:
            targets = next_token_targets(labels)
            logits, flat = supervised_logits(model, targets, num_supervised=num_supervised, input_ids=inputs)
            loss = cross_entropy_sum(logits, flat) / num_supervised
        loss.backward()
        if options.device == "cuda":
            torch.cuda.synchronize()
        model.zero_grad()
        if repeat >= 2:
            seconds.append(time.perf_counter() - start)
    if options.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"loss": float(loss), "seconds": statistics.median(seconds), "peak_gib": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--vocab", type=int, default=128_256)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--length", type=int, default=384)
    parser.add_argument("--supervised", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--side", choices=["ours", "full"])
    options = parser.parse_args()
    if options.side:
        print(json.dumps(step(options.side, options)))
        return
    found = {}
    for side in ("full", "ours"):
        done = subprocess.run([sys.executable, *sys.argv, "--side", side], capture_output=True, text=True, check=True)
        found[side] = json.loads(done.stdout.splitlines()[-1])
        print(f"{side}: {found[side]}")
    ratios = {name: found["ours"][name] / found["full"][name] for name in ("seconds", "peak_gib")}
    print(f"ours / full: {ratios}; {platform.processor() or platform.machine()}, {options.device}, {torch.__version__}")


if __name__ == "__main__":
    main()
