"""Repetition rules over generated tokens, against loops, transformers' own rules and real generation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
)

from kosum_pl.decode import DecodingPreset, generated_only_processors
from kosum_pl.decode.repetition.token_ban import TokenNGramBan
from kosum_pl.decode.repetition.word_pieces import WordPieces

VOCABULARY = 6


def no_pieces() -> WordPieces:
    """Rules on tokens ask for no words."""
    raise AssertionError


INFINITY = float("inf")


@st.composite
def steps(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Ids (B, T) over few tokens, scores (B, V) and the prompt's length, at times all of T."""
    rows, length = draw(st.integers(1, 4)), draw(st.integers(1, 14))
    tokens = st.integers(0, VOCABULARY - 1)
    ids = draw(st.lists(st.lists(tokens, min_size=length, max_size=length), min_size=rows, max_size=rows))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    return torch.tensor(ids), torch.randn(rows, VOCABULARY, generator=generator), draw(st.integers(0, length))


def ban_by_loop(ids: list[int], *, size: int) -> set[int]:
    """Tokens that would complete an n-gram which stands in `ids`."""
    seen = {tuple(ids[start : start + size]) for start in range(len(ids) - size + 1)}
    return {token for token in range(VOCABULARY) if len(ids) + 1 >= size and (*ids, token)[-size:] in seen}


def apply_by_loop(ids: Tensor, scores: Tensor, *, size: int, penalty: float, prompt_length: int) -> Tensor:
    expected = scores.clone()
    for row, all_ids in enumerate(ids.tolist()):
        generated = all_ids[prompt_length:]
        for token in set(generated):
            expected[row, token] *= penalty if expected[row, token] < 0 else 1 / penalty
        for token in ban_by_loop(generated, size=size):
            expected[row, token] = -INFINITY
    return expected


@given(step=steps(), size=st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_ban_equals_transformers_on_the_generated_part(step: tuple[Tensor, Tensor, int], size: int) -> None:
    ids, scores, prompt_length = step
    actual = TokenNGramBan(ngram_size=size, prompt_length=prompt_length)(ids, scores)
    generated = ids[:, prompt_length:]
    assert torch.equal(actual, NoRepeatNGramLogitsProcessor(size)(generated, scores))
    # An encoder-decoder's sequence is its start token and what was generated: the same rule, whatever the prompt was.
    start = torch.full((len(ids), 1), VOCABULARY)
    if size > 1:
        assert torch.equal(actual, NoRepeatNGramLogitsProcessor(size)(torch.cat([start, generated], 1), scores))


@given(step=steps(), size=st.integers(1, 4), penalty=st.sampled_from([0.5, 1.0, 1.3, 4.0]))
@settings(max_examples=300, deadline=None)
def test_both_rules_equal_a_loop(step: tuple[Tensor, Tensor, int], size: int, penalty: float) -> None:
    """With nothing generated yet, too: then no score may change."""
    ids, scores, prompt_length = step
    preset = DecodingPreset(
        name="a", no_repeat_ngram_size=size, no_repeat_ngram_unit="token", repetition_penalty=penalty
    )
    actual = generated_only_processors(preset, prompt_length=prompt_length, pieces=no_pieces)(ids, scores.clone())
    expected = apply_by_loop(ids, scores, size=size, penalty=penalty, prompt_length=prompt_length)
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=0)
    if prompt_length == ids.shape[1]:
        assert torch.equal(actual, scores)


@given(step=steps(), order=st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_rows_do_not_depend_on_one_another(step: tuple[Tensor, Tensor, int], order: Any) -> None:
    """Beam search reorders and repeats rows between steps."""
    ids, scores, prompt_length = step
    preset = DecodingPreset(name="a", no_repeat_ngram_size=2, no_repeat_ngram_unit="token", repetition_penalty=1.7)
    processors = generated_only_processors(preset, prompt_length=prompt_length, pieces=no_pieces)
    rows = torch.tensor([order.randrange(len(ids)) for _ in range(2 * len(ids))])
    assert torch.equal(processors(ids[rows], scores[rows]), processors(ids, scores)[rows])


def test_which_processors_a_preset_needs() -> None:
    both = DecodingPreset(name="a", no_repeat_ngram_size=4, no_repeat_ngram_unit="token", repetition_penalty=1.1)
    kinds = [type(processor) for processor in generated_only_processors(both, prompt_length=3, pieces=no_pieces)]
    assert kinds == [RepetitionPenaltyLogitsProcessor, TokenNGramBan]
    assert not generated_only_processors(DecodingPreset(name="b"), prompt_length=3, pieces=no_pieces)


@pytest.mark.parametrize(("size", "length"), [(0, 3), (2, -1)])
def test_nonsense_is_refused(size: int, length: int) -> None:
    with pytest.raises(ValueError, match="ngram_size is"):
        TokenNGramBan(ngram_size=size, prompt_length=length)


class Wish(LogitsProcessor):  # type: ignore[misc]
    """A model that wants to say a certain text, whatever its weights."""

    def __init__(self, text: list[int], *, prompt_length: int) -> None:
        self.text, self.prompt_length = text, prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        wanted = scores.clone()
        wanted[:, self.text[input_ids.shape[1] - self.prompt_length]] += 1000.0
        return wanted


def say(model: PreTrainedModel, text: list[int], *, prompt: list[int], preset: DecodingPreset, own: bool) -> list[int]:
    """What comes of a wish under the preset's rules: our own ones, or transformers'."""
    ids = torch.tensor([prompt])
    kwargs = preset.generation_kwargs() | ({} if own else {"no_repeat_ngram_size": preset.no_repeat_ngram_size})
    rules = generated_only_processors(preset, prompt_length=len(prompt), pieces=no_pieces) if own else []
    result = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        logits_processor=LogitsProcessorList([Wish(text, prompt_length=len(prompt)), *rules]),
        **{**kwargs, "max_new_tokens": len(text)},
    )
    said: list[int] = result[0, len(prompt) :].tolist()
    return said


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_causal_model_may_quote_its_prompt(make_llama: Callable[[], PreTrainedModel], num_beams: int) -> None:
    prompt = [5, 6, 7, 8, 9, 10]
    preset = DecodingPreset(name="a", no_repeat_ngram_size=4, no_repeat_ngram_unit="token", num_beams=num_beams)
    model = make_llama()
    assert say(model, prompt, prompt=prompt, preset=preset, own=True) == prompt
    assert say(model, prompt, prompt=prompt, preset=preset, own=False) != prompt


def test_but_not_quote_it_twice(make_llama: Callable[[], PreTrainedModel]) -> None:
    prompt = [5, 6, 7, 8, 9, 10]
    twice = prompt + prompt
    preset = DecodingPreset(name="a", no_repeat_ngram_size=4, no_repeat_ngram_unit="token")
    said = say(make_llama(), twice, prompt=prompt, preset=preset, own=True)
    assert said[:9] == twice[:9]
    assert said[9] != twice[9]


def grams(ids: list[int], size: int) -> list[tuple[int, ...]]:
    body = ids[: ids.index(2)] if 2 in ids else ids
    return [tuple(body[start : start + size]) for start in range(len(body) - size + 1)]


@pytest.mark.parametrize("num_beams", [1, 4])
def test_generation_repeats_no_ngram(
    make_llama: Callable[..., PreTrainedModel], left_padded: Callable[..., dict[str, Tensor]], num_beams: int
) -> None:
    batch = left_padded([[5, 6, 7, 8], [9, 10], [11, 12, 13]])
    width = batch["input_ids"].shape[1]
    repeats = {}
    for size in (0, 2):
        preset = DecodingPreset(
            name="a", num_beams=num_beams, no_repeat_ngram_size=size, no_repeat_ngram_unit="token", max_new_tokens=40
        )
        rules = generated_only_processors(preset, prompt_length=width, pieces=no_pieces)
        repeats[size] = 0
        for seed in range(4):
            sequences = make_llama(seed).generate(
                **batch, logits_processor=rules, **{**preset.generation_kwargs(), "min_new_tokens": 30}
            )
            rows = [grams(row, 2) for row in sequences[:, width:].tolist()]
            repeats[size] += sum(len(row) - len(set(row)) for row in rows)
    assert repeats[2] == 0
    assert repeats[0] > 20


@pytest.mark.parametrize("num_beams", [1, 3])
def test_batch_equals_single_rows(
    make_llama: Callable[..., PreTrainedModel], left_padded: Callable[..., dict[str, Tensor]], num_beams: int
) -> None:
    """Left padding counts as prompt: a row's text does not depend on its neighbours."""
    prompts = [[5, 6, 7, 8, 9, 10, 11], [1 + 8, 10], [11, 12, 13]]
    preset = DecodingPreset(
        name="a",
        num_beams=num_beams,
        no_repeat_ngram_size=3,
        no_repeat_ngram_unit="token",
        repetition_penalty=1.4,
        max_new_tokens=25,
    )
    model = make_llama(1)

    def summarize(rows: list[list[int]]) -> list[list[int]]:
        batch = left_padded(rows)
        width = batch["input_ids"].shape[1]
        rules = generated_only_processors(preset, prompt_length=width, pieces=no_pieces)
        sequences = model.generate(**batch, logits_processor=rules, **preset.generation_kwargs())
        generated: list[list[int]] = sequences[:, width:].tolist()
        return [row[: row.index(2) + 1] if 2 in row else row for row in generated]

    together = summarize(prompts)
    assert together == [summarize([prompt])[0] for prompt in prompts]
    assert min(map(len, together)) > 3


def test_greedy_equals_a_loop_over_the_model(make_llama: Callable[..., PreTrainedModel]) -> None:
    """Every step of generation, done by hand."""
    model, prompt = make_llama(2), [5, 6, 7, 8]
    preset = DecodingPreset(
        name="a", no_repeat_ngram_size=2, no_repeat_ngram_unit="token", repetition_penalty=1.5, max_new_tokens=20
    )
    rules = generated_only_processors(preset, prompt_length=len(prompt), pieces=no_pieces)
    ids = torch.tensor([prompt])
    actual = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), logits_processor=rules, **preset.generation_kwargs()
    )[0, len(prompt) :].tolist()
    said: list[int] = []
    while len(said) < 20 and 2 not in said:
        with torch.no_grad():
            scores = model(input_ids=torch.tensor([prompt + said])).logits[0, -1].tolist()
        for token in set(said):
            scores[token] *= 1.5 if scores[token] < 0 else 1 / 1.5
        pairs = set(pairwise(said))
        allowed = [token for token in range(len(scores)) if not said or (said[-1], token) not in pairs]
        said.append(max(allowed, key=lambda token: scores[token]))
    assert actual == said
