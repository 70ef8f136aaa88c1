"""Rows of one batch with limits of their own, against each row generated alone with its limit as a plain number."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from kosum_pl.decode import ConstraintSettings, DecodingPreset, RowLength
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Batch
from kosum_pl.modules import SummarizationModule
from kosum_pl.modules.generation import Completion, generate
from tests.modules_fixtures import DIALOGUES, collate_rows, wide_module

# Causal prompts hold a template beside their dialogue.
LIMITS = {
    "seq2seq": RowLength(per_source_token=0.12, min=4, max=13),
    "causal": RowLength(per_source_token=0.07, min=4, max=13),
}
MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "shortest": {"min_new_tokens": 4, "no_repeat_ngram_size": 2},
    "beams": {"num_beams": 4},
    "long_beams": {"num_beams": 3, "length_penalty": 2.0, "early_stopping": True, "repetition_penalty": 1.2},
    "short_beams": {"num_beams": 4, "length_penalty": -1.0},
    "exact_beams": {"num_beams": 3, "length_penalty": 1.5, "early_stopping": "never"},
}
CONSTRAINTS = {
    "free": None,
    "automaton": ConstraintSettings(small_head=False),
    "prefix_function": ConstraintSettings(kind="prefix_function", small_head=False),
}

# How much random weights must like a terminator for some rows to end before their limit.
LIKING = {"seq2seq": 6.0, "causal": 4.0}


def source_lengths(batch: Batch) -> list[int]:
    assert batch.prompt_ids is not None
    assert batch.prompt_mask is not None
    return [sum(row) for row in batch.prompt_mask.tolist()]


def liking_the_end(module: SummarizationModule, by: float) -> SummarizationModule:
    """Let random weights, which hardly ever end, do so."""

    def raise_end(_: object, __: object, output: Any) -> Any:
        output.logits[..., list(module.encoder.terminator_ids)] += by
        return output

    module.language_model.register_forward_hook(raise_end)
    return module


def completions(
    module: SummarizationModule, batch: Batch, preset: DecodingPreset, settings: ConstraintSettings | None
) -> list[Completion]:
    with torch.inference_mode():
        return generate(module.language_model, batch, preset=preset, rules=DecodingRules(module.encoder, settings))


@pytest.mark.parametrize("constraint", CONSTRAINTS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ends", ["endless", "ending"])
def test_a_row_gets_what_it_would_get_alone(ends: str, mode: str, constraint: str, kind: str) -> None:
    module = liking_the_end(wide_module(kind).eval(), 0.0 if ends == "endless" else LIKING[kind])
    preset, settings = DecodingPreset(name="rows", max_new_tokens=LIMITS[kind], **MODES[mode]), CONSTRAINTS[constraint]
    rows = [DIALOGUES[index] for index in (5, 0, 7, 2, 4)]
    batch = collate_rows(module, rows, for_generation=True)
    limits = [LIMITS[kind].tokens(length) for length in source_lengths(batch)]
    assert len(set(limits)) > 2, "rows of one limit prove nothing"
    together = completions(module, batch, preset, settings)
    alone = [
        completions(module, collate_rows(module, [row], for_generation=True), replace(preset, max_new_tokens=limit),
                    settings)[0]
        for row, limit in zip(rows, limits, strict=True)
    ]  # fmt: skip
    assert [completion.ids for completion in together] == [completion.ids for completion in alone]
    assert [completion.reached_eos for completion in together] == [completion.reached_eos for completion in alone]
    assert [c.log_prob for c in together] == pytest.approx([c.log_prob for c in alone], abs=2e-3)
    cut = [(len(c.ids), limit) for c, limit in zip(together, limits, strict=True) if not c.reached_eos]
    assert all(length == limit for length, limit in cut)
    if mode == "greedy":
        assert len(cut) == 5 if ends == "endless" else 0 < len(cut) < 5


def test_drawn_rows_are_those_of_one_limit_cut_at_their_own(kind: str) -> None:
    """A draw takes a number for every row of the batch at every step, so only whole batches can be compared."""
    module = wide_module(kind).eval()
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    limits = [LIMITS[kind].tokens(length) for length in source_lengths(batch)]
    drawing = DecodingPreset(name="drawing", do_sample=True, temperature=1.5, seed=3, max_new_tokens=max(limits))
    whole = completions(module, batch, drawing, None)
    cut = completions(module, batch, replace(drawing, max_new_tokens=LIMITS[kind]), None)
    assert [c.ids for c in cut] == [c.ids[:limit] for c, limit in zip(whole, limits, strict=True)]
    assert [c.reached_eos for c in cut] == [
        c.reached_eos and len(c.ids) <= limit for c, limit in zip(whole, limits, strict=True)
    ]
    assert len({len(completion.ids) for completion in cut}) > 2


def test_a_pad_that_is_a_terminator_ends_no_row() -> None:
    """Behind its limit a row is padded while others go on; where the pad id ends a turn, that is no end."""
    module = wide_module("causal").eval()
    model = module.language_model
    model.generation_config.pad_token_id = module.encoder.terminator_ids[0]
    batch = collate_rows(module, [DIALOGUES[0], DIALOGUES[7]], for_generation=True)
    for num_beams in (1, 3):
        preset = DecodingPreset(name="rows", max_new_tokens=LIMITS["causal"], num_beams=num_beams)
        first, last = completions(module, batch, preset, None)
        assert len(first.ids) < len(last.ids)
        assert not first.reached_eos
        assert module.encoder.terminator_ids[0] not in first.ids


def test_the_call_ends_with_its_longest_row(kind: str) -> None:
    """Not with the longest row that the preset could ever have."""
    module = wide_module(kind).eval()
    steps = []
    module.language_model.register_forward_hook(lambda *_: steps.append(1))
    batch = collate_rows(module, DIALOGUES[:2], for_generation=True)
    limit = replace(LIMITS[kind], max=10_000)
    completions(module, batch, DecodingPreset(name="rows", max_new_tokens=limit), None)
    longest = max(limit.tokens(length) for length in source_lengths(batch))
    assert len(steps) <= longest + 1  # one more scores what was generated
