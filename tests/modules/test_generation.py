"""Generation in batches against one row at a time, and what is read off the generated ids."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.decode import DecodingPreset
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.modules.generation import completion_labels, encode_prompts, generate
from kosum_pl.types import IGNORE_INDEX
from tests.modules_fixtures import DIALOGUES, collate_rows, wide_module

PRESETS = {
    "greedy": DecodingPreset(name="greedy", max_new_tokens=12, min_new_tokens=6),
    "beams": DecodingPreset(
        name="beams",
        num_beams=4,
        max_new_tokens=12,
        min_new_tokens=6,
        no_repeat_ngram_size=3,
        no_repeat_ngram_unit="token",
    ),
    "penalty": DecodingPreset(
        name="penalty", max_new_tokens=12, repetition_penalty=1.3, no_repeat_ngram_size=2, no_repeat_ngram_unit="token"
    ),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_batched_generation_equals_one_by_one(kind: str, preset: str) -> None:
    module = wide_module(kind).eval()
    arguments = {"preset": PRESETS[preset], "rules": DecodingRules(module.encoder, None)}
    with torch.inference_mode():
        together = generate(module.language_model, collate_rows(module, DIALOGUES, for_generation=True), **arguments)
        alone = [
            generate(module.language_model, collate_rows(module, [row], for_generation=True), **arguments)[0]
            for row in DIALOGUES
        ]
    assert [completion.ids for completion in together] == [completion.ids for completion in alone]
    assert len({completion.ids for completion in together}) > 1, "rows that all say the same prove nothing"
    assert [c.log_prob for c in together] == pytest.approx([c.log_prob for c in alone], abs=1e-4)


def test_log_prob_is_that_of_the_ids(kind: str) -> None:
    module = wide_module(kind).eval()
    model = module.language_model
    batch = collate_rows(module, DIALOGUES[2:3], for_generation=True)
    rules = DecodingRules(module.encoder, None)
    with torch.inference_mode():
        completion = generate(model, batch, preset=PRESETS["greedy"], rules=rules)[0]
        ids = torch.tensor([completion.ids])
        if module.is_causal:
            logits = model(input_ids=torch.cat([batch.prompt_ids, ids], dim=1)).logits[
                :, batch.prompt_ids.shape[1] - 1 :
            ]
        else:
            start = torch.tensor([[model.generation_config.decoder_start_token_id]])
            logits = model(input_ids=batch.prompt_ids, decoder_input_ids=torch.cat([start, ids], dim=1)).logits
    log_probs = logits[0, : len(completion.ids)].log_softmax(dim=1)
    expected = log_probs[range(len(completion.ids)), completion.ids].sum()
    assert completion.log_prob == pytest.approx(float(expected), abs=1e-4)


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 5), min_size=6, max_size=6), st.integers(1, 8)), min_size=1, max_size=4)
)
def test_completions_end_at_the_first_terminator_or_at_their_limit(rows: list[tuple[list[int], int]]) -> None:
    given_ids, limits = zip(*rows, strict=True)
    labels, lengths, finished = completion_labels(torch.tensor(given_ids), (4, 0), limits=limits)
    for (row, limit), label, length, is_finished in zip(rows, labels.tolist(), lengths, finished, strict=True):
        ends = [place for place, token in enumerate(row[:limit]) if token in (4, 0)]
        assert is_finished == bool(ends)
        assert length == (ends[0] + 1 if ends else min(limit, 6))
        assert label == row[:length] + [IGNORE_INDEX] * (6 - length)


def test_sampling_neither_varies_nor_moves_the_trainings_stream() -> None:
    module = wide_module("causal").eval()
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    preset = DecodingPreset(name="sampling", do_sample=True, temperature=1.0, max_new_tokens=8)
    arguments = {"preset": preset, "rules": DecodingRules(module.encoder, None)}
    state = torch.get_rng_state()
    first = generate(module.language_model, batch, **arguments)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    assert generate(module.language_model, batch, **arguments) == first


def test_a_causal_model_may_quote_its_prompt() -> None:
    """A model that copies its own prompt's start is not stopped by an n-gram rule that has seen the prompt."""
    module = wide_module("causal").eval()
    batch = collate_rows(module, DIALOGUES[:1], for_generation=True)
    prompt = batch.prompt_ids[0].tolist()
    num_steps = iter(range(5))
    original = module.language_model.forward

    def forward(*args: object, **kwargs: object) -> object:
        output = original(*args, **kwargs)
        step = next(num_steps, None)
        if step is not None:
            output.logits[:, -1] = -1e4
            output.logits[:, -1, prompt[step]] = 0.0
        return output

    module.language_model.forward = forward
    preset = DecodingPreset(name="strict", max_new_tokens=5, no_repeat_ngram_size=2, no_repeat_ngram_unit="token")
    rules = DecodingRules(module.encoder, None)
    completion = generate(module.language_model, batch, preset=preset, rules=rules)[0]
    assert list(completion.ids) == prompt[:5]


@pytest.mark.parametrize("preset", PRESETS)
def test_encoder_states_are_reused_to_the_bit(preset: str) -> None:
    module = wide_module("seq2seq").eval()
    model, batch = module.language_model, collate_rows(module, DIALOGUES, for_generation=True)
    arguments = {"preset": PRESETS[preset], "rules": DecodingRules(module.encoder, None)}
    num_encoded = []
    hook = model.get_encoder().register_forward_hook(lambda *_: num_encoded.append(1))
    with torch.inference_mode():
        computed = generate(model, batch, **arguments)
        states = encode_prompts(model, batch)
        num_encoded.clear()
        # Twice: beams are expanded in place by transformers, and must not reach the states that are kept.
        reused = [generate(model, batch, encoder_states=states, **arguments) for _ in range(2)]
    hook.remove()
    assert reused == [computed, computed]
    assert not num_encoded, "the encoder ran although its states were given"


def test_a_causal_model_has_no_encoder_states() -> None:
    module = wide_module("causal").eval()
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    assert encode_prompts(module.language_model, batch) is None
