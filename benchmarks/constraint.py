"""Constrained decoding beside what else there is: time of a step, of whole `generate()` calls, of tables; memory.

Run: python -m benchmarks.constraint [--quick] [--json FILE] [--tokenizers DIR] [--device cuda]

In: tokenizers. Out: tables of medians, and each bar with PASS or FAIL; a bar that fails is a finding, not an error. One
thread, as in the study that set the bars, and times of a step in processor time, which other processes on the machine
do not lengthen (on a GPU: wall time); both are given. Contenders take turns at every step, on the same random walk of
allowed tokens; the masks of all that are exact are asserted to be identical before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import constraint_generate as whole
from benchmarks.constraint_peers import IN_PLACE, PACKAGES, Peers, Step, assert_same_masks, compile_peers, contenders
from benchmarks.constraint_vocabularies import NUM_ROW_WORDS, PROMPT_LENGTH, Vocabulary, load_vocabularies
from benchmarks.timing import grown_mib, interleaved_medians, keep_freed_memory, machine_facts, resident_mib, seconds_of

BARS: Mapping[str, float] = {
    "automaton_over_masked_fill": 0.8,
    "automaton_over_xgrammar": 1 / 6,
    "automaton_over_prefix_function": 1 / 6,
    "row_literals_over_automaton": 1.3,
    "small_head_over_unconstrained": 0.7,
    "small_head_over_unconstrained_beams": 0.7,
    "build_s": 3.0,
    "load_s": 0.3,
    "automaton_share_of_decoding_step": 0.03,
}
"""Most that each ratio, time in seconds or share may be."""
STEP_RATIOS: Mapping[str, tuple[str, str]] = {
    "automaton_over_masked_fill": ("automaton", "static mask, masked_fill"),
    "automaton_over_xgrammar": ("automaton", "xgrammar"),
    "automaton_over_prefix_function": ("automaton", "prefix function"),
    "row_literals_over_automaton": ("automaton, row literals", "automaton"),
}
_BAR_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured.

    Attributes:
        num_steps: Timed steps, by number of rows.
        num_warm_up: Steps before them.
        num_loads: Reads of the tables from the cache.
        num_repeats: Calls of `generate` of each contender.
        num_checked_steps: Steps at which masks are compared.
        model: Shape of the model of `generate`.
        num_new_tokens: Tokens of each call.
    """

    num_steps: Mapping[int, int]
    num_warm_up: int
    num_loads: int
    num_repeats: int
    num_checked_steps: int
    model: Mapping[str, Any]
    num_new_tokens: int = 24


FULL = Scale(
    num_steps={1: 300, 32: 60, 128: 20}, num_warm_up=5, num_loads=5, num_repeats=3, num_checked_steps=40,
    model=whole.SHAPE_0_6B,
)  # fmt: skip
QUICK = Scale(
    num_steps={1: 60, 32: 25, 128: 4}, num_warm_up=2, num_loads=3, num_repeats=1, num_checked_steps=10,
    model=whole.SHAPE_0_6B,
)  # fmt: skip


def step_medians(vocabulary: Vocabulary, peers: Peers, *, scale: Scale, device: torch.device) -> dict[str, Any]:
    """Milliseconds a step by number of rows and contender; shares of steps within a character."""
    found: dict[str, Any] = {"ms": {}, "wall_ms": {}, "within_character": {}}
    for num_rows, num_steps in scale.num_steps.items():
        ids, within = vocabulary.walks(num_rows, scale.num_warm_up + num_steps)
        ids = ids.to(device)
        torch.manual_seed(0)
        scores = torch.randn(num_rows, vocabulary.size, device=device)
        # What overwrites its scores gets fresh ones, untimed; so does everyone, for the caches' sake.
        own = torch.empty_like(scores)
        steps = contenders(vocabulary, peers, num_rows=num_rows, device=device)

        def turn(step: Step, place: int, ids: Tensor = ids, own: Tensor = own, scores: Tensor = scores) -> Any:
            own.copy_(scores)
            return partial(step, ids[:, : PROMPT_LENGTH + place], own)

        medians = interleaved_medians(
            {name: partial(turn, step) for name, step in steps.items()},
            num_rounds=num_steps,
            num_warm_up=scale.num_warm_up,
            device=device,
        )
        counted = medians.wall if device.type == "cuda" else medians.cpu
        found["ms"][str(num_rows)] = {name: seconds * 1e3 for name, seconds in counted.items()}
        found["wall_ms"][str(num_rows)] = {name: seconds * 1e3 for name, seconds in medians.wall.items()}
        found["within_character"][str(num_rows)] = within
    return found


def measure(
    vocabularies: Mapping[str, Vocabulary], costs: Mapping[str, Any], *, scale: Scale, device: torch.device
) -> dict[str, Any]:
    """Everything that the run knows, but the ratios."""
    found: dict[str, Any] = {"machine": machine_facts(device), "vocabularies": {}}
    for name, vocabulary in vocabularies.items():
        rss = resident_mib()
        peers_s, peers = seconds_of(partial(compile_peers, vocabulary))
        entry = {**costs[name], "peers_build_s": peers_s, "peers_process_growth_mib": grown_mib(rss)}
        entry["masks_equal"] = assert_same_masks(vocabulary, peers, num_rows=16, num_steps=scale.num_checked_steps)
        entry["step"] = step_medians(vocabulary, peers, scale=scale, device=device)
        found["vocabularies"][name] = entry
    first = next(iter(vocabularies.values()))
    found["generate"] = whole.generate_seconds(
        first, whole.random_model(scale.model, device=device), num_rows=4, num_new_tokens=scale.num_new_tokens,
        num_repeats=scale.num_repeats,
    )  # fmt: skip
    found["decoding_step_3b"] = None
    if device.type == "cuda":
        large = whole.random_model(whole.SHAPE_3B, device=device, dtype=torch.bfloat16)
        found["decoding_step_3b"] = whole.share_of_decoding_step(
            first, large, num_rows=32, num_prompt_tokens=512, num_steps=50, num_warm_up=10
        )
    return found


def ratios_of(found: Mapping[str, Any]) -> dict[str, float | None]:
    """What the bars are held against: of a step the worst vocabulary at 32 rows; None where a part is missing."""
    entries = list(found["vocabularies"].values())
    ratios = _step_ratios(entries, "ms")
    for mode, ending in (("greedy", ""), ("beams", "_beams")):
        seconds = found["generate"][mode]["seconds"]
        ratios[f"small_head_over_unconstrained{ending}"] = seconds["small head + automaton"] / seconds["unconstrained"]
    for name in ("build_s", "load_s"):
        ratios[name] = max(entry[name] for entry in entries)
    decoding = found["decoding_step_3b"]
    ratios["automaton_share_of_decoding_step"] = None if decoding is None else decoding["share"]
    return ratios


def _step_ratios(entries: Sequence[Mapping[str, Any]], clock: str) -> dict[str, float | None]:
    steps = [entry["step"][clock].get(str(_BAR_ROWS), {}) for entry in entries]
    return {
        name: max((ms[ours] / ms[theirs] for ms in steps if ours in ms and theirs in ms), default=None)
        for name, (ours, theirs) in STEP_RATIOS.items()
    }


def show(found: Mapping[str, Any]) -> None:
    """Print tables, then bars."""
    print("; ".join(f"{name} {value}" for name, value in found["machine"].items()))
    for name, entry in found["vocabularies"].items():
        print(f"\n{name}: {entry['num_tokens']} tokens, {entry['num_columns']} columns, {entry['num_states']} states")
        print(f"tables: built in {entry['build_s']:.2f} s, read from the cache in {entry['load_s']:.3f} s")
        print(
            f"rows' words: vocabulary ordered in {entry['vocabulary_index_s']:.2f} s, "
            f"32 rows x {NUM_ROW_WORDS} in {entry['row_tables_32x5_s']:.2f} s"
        )
        print("memory, MiB: " + ", ".join(f"{what} {value}" for what, value in entry["memory_mib"].items()))
        print(f"masks identical to the automaton's: {entry['masks_equal']}")
        _show_steps(entry["step"])
    for mode, result in found["generate"].items():
        cells = [f"{name} {seconds:.2f} s" for name, seconds in result["seconds"].items()]
        print(f"\ngenerate, {mode}: {', '.join(cells)}; same tokens {result['same_tokens']:.1%}")
    print()
    for name, bar in found["bars"].items():
        verdict = {True: "PASS", False: "FAIL", None: "not measured"}[bar["passes"]]
        value = "-" if bar["value"] is None else f"{bar['value']:.3f}"
        wall = found["wall_ratios"].get(name)
        by_wall = "" if wall is None else f"; by the wall clock {wall:.3f}"
        print(f"{verdict:12} {name} {value} (at most {bar['limit']:.3f}){by_wall}")


def _show_steps(step: Mapping[str, Any]) -> None:
    rows = list(step["ms"])
    print(f"{'ms a step (median), rows':36}" + "".join(f"{num:>10}" for num in rows))
    for name in step["ms"][rows[0]]:
        label = f"{name} (overwrites)" if name in IN_PLACE else name
        print(f"{label:36}" + "".join(f"{step['ms'][num][name]:10.3f}" for num in rows))
    for package in PACKAGES:
        if package not in step["ms"][rows[0]]:
            print(f"{package:36}not installed (pip install {package})")
    print("steps within a character: " + ", ".join(f"{step['within_character'][num]:.0%}" for num in rows))


def finish(found: dict[str, Any], *, is_quick: bool) -> None:
    """Add ratios, bars and the scale."""
    found["quick"] = is_quick
    found["ratios"] = ratios_of(found)
    found["wall_ratios"] = _step_ratios(list(found["vocabularies"].values()), "wall_ms")
    found["bars"] = {}
    for name, limit in BARS.items():
        value = found["ratios"][name]
        found["bars"][name] = {"value": value, "limit": limit, "passes": None if value is None else value <= limit}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer steps and repeats, the same shapes: a minute")
    parser.add_argument("--json", type=Path, help="also write everything here")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    shared = Path(os.environ.get("KOSUM_SHARED_DIR", "../shared"))
    parser.add_argument("--tokenizers", type=Path, default=shared / "tokenizers", help="has llama3_1/ and qwen3/")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    scale = QUICK if options.quick else FULL
    is_there = all((options.tokenizers / name).is_dir() for name in ("llama3_1", "qwen3"))
    if not is_there:
        print(f"no llama3_1/ and qwen3/ in {options.tokenizers}: a byte-level vocabulary made here stands in")
    vocabularies, costs = load_vocabularies(options.tokenizers if is_there else None, num_loads=scale.num_loads)
    found = measure(vocabularies, costs, scale=scale, device=torch.device(options.device))
    finish(found, is_quick=options.quick)
    show(found)
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
