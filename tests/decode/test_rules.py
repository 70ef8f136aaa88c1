"""Constraint, repetition rules and heads as the modules use them, on both kinds of model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kosum_pl.decode import ConstraintSettings, DecodingPreset, foreign_places
from kosum_pl.decode.rules import DecodingRules
from kosum_pl.encode import Batch
from kosum_pl.modules import CausalModule, SummarizationModule
from kosum_pl.modules.generation import Completion, generate
from kosum_pl.types import Dialogue
from tests.modules_fixtures import DIALOGUES, collate_rows, wide_module

PRESETS = {
    "greedy": DecodingPreset(name="greedy", max_new_tokens=24),
    "sampling": DecodingPreset(name="sampling", max_new_tokens=24, do_sample=True, temperature=1.5),
    "beams": DecodingPreset(
        name="beams", max_new_tokens=24, num_beams=4, no_repeat_ngram_size=3, no_repeat_ngram_unit="token"
    ),
    "penalised": DecodingPreset(name="penalised", max_new_tokens=24, num_beams=2, repetition_penalty=1.3),
}
LATIN = replace(
    Dialogue(
        example_id="latin",
        text="#Person1#: KTX 타고 Jimmy 만나러 가요.\n#Person2#: 5km 남았네요.",
        references=("가요.",),
    ),
    profile={"weekday": "7"},
)


def completions_of(
    module: SummarizationModule,
    batch: Batch,
    *,
    preset: DecodingPreset,
    settings: ConstraintSettings | None,
) -> list[Completion]:
    rules = DecodingRules(module.encoder, settings)
    with torch.inference_mode():
        return generate(module.language_model, batch, preset=preset, rules=rules)


def foreign_in(text: str, dialogue: Dialogue, settings: ConstraintSettings) -> str:
    places = foreign_places(
        text,
        charset=settings.character_set,
        literals=settings.fixed_literals,
        row_words=settings.row_words(dialogue.text),
    )
    return "".join(text[place] for place in places)


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_foreign_is_generated_and_without_the_constraint_it_is(kind: str, preset: str) -> None:
    module = wide_module(kind).eval()
    rows = [*DIALOGUES[:3], LATIN]
    batch, settings = collate_rows(module, rows, for_generation=True), ConstraintSettings()
    found = {}
    for constraint in (None, settings):
        completions = completions_of(module, batch, preset=PRESETS[preset], settings=constraint)
        texts = [module.encoder.decode(completion.ids) for completion in completions]
        found[constraint] = [foreign_in(text, row, settings) for text, row in zip(texts, rows, strict=True)]
    assert any(found[None]), "random weights say foreign things, or the test shows nothing"
    assert found[settings] == [""] * len(rows)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_small_head_says_the_same_with_the_same_log_probability(kind: str, preset: str) -> None:
    module = wide_module(kind).eval()
    batch = collate_rows(module, [*DIALOGUES[:3], LATIN], for_generation=True)
    small, full = (
        completions_of(module, batch, preset=PRESETS[preset], settings=ConstraintSettings(small_head=is_small))
        for is_small in (True, False)
    )
    assert [completion.ids for completion in small] == [completion.ids for completion in full]
    assert [c.log_prob for c in small] == pytest.approx([c.log_prob for c in full], abs=1e-3)


def test_log_prob_is_over_what_the_row_may_say(kind: str) -> None:
    """Against a softmax over the allowed ids that is written out here."""
    module = wide_module(kind).eval()
    model, settings = module.language_model, ConstraintSettings()
    batch = collate_rows(module, [LATIN], for_generation=True)
    completion = completions_of(module, batch, preset=PRESETS["greedy"], settings=settings)[0]
    rules = DecodingRules(module.encoder, settings)
    held = rules.for_batch(batch.dialogues, PRESETS["greedy"], prompt_length=1, num_source_tokens=[9])
    assert held.constraint is not None
    ids = torch.tensor([completion.ids])
    with torch.inference_mode():
        if module.is_causal:
            logits = model(input_ids=torch.cat([batch.prompt_ids, ids], dim=1)).logits
            logits = logits[0, batch.prompt_ids.shape[1] - 1 : -1]
        else:
            start = torch.tensor([[model.generation_config.decoder_start_token_id]])
            decoder_ids = torch.cat([start, ids[:, :-1]], dim=1)
            logits = model(input_ids=batch.prompt_ids, decoder_input_ids=decoder_ids).logits[0]
    allowed = torch.full((logits.shape[1],), -torch.inf)
    allowed[held.constraint.columns.ids] = 0.0
    expected = (logits + allowed).log_softmax(dim=1)[range(len(completion.ids)), completion.ids].sum()
    assert completion.log_prob == pytest.approx(float(expected), abs=1e-3)


def test_a_rows_summary_does_not_depend_on_its_batch(kind: str) -> None:
    """Words of one row change neither the tokens nor the scores of another."""
    module = wide_module(kind).eval()
    preset, settings = PRESETS["beams"], ConstraintSettings()
    rows = [DIALOGUES[2], LATIN]
    together = completions_of(module, collate_rows(module, rows, for_generation=True), preset=preset, settings=settings)
    alone = [
        completions_of(module, collate_rows(module, [row], for_generation=True), preset=preset, settings=settings)[0]
        for row in rows
    ]
    assert [completion.ids for completion in together] == [completion.ids for completion in alone]
    assert [c.log_prob for c in together] == pytest.approx([c.log_prob for c in alone], abs=1e-3)


@pytest.mark.parametrize("settings", [None, ConstraintSettings(small_head=False)], ids=["free", "constrained"])
@pytest.mark.parametrize("num_beams", [1, 2])
def test_an_n_gram_rule_keeps_rare_syllables_whole(
    num_beams: int, settings: ConstraintSettings | None, kind: str
) -> None:
    """Two tokens spell 똠: said again, the second would be banned, and the model would land on a neighbour."""
    module = wide_module(kind).eval()
    assert len(module.encoder.tokenizer.encode("똠", add_special_tokens=False)) == 2
    assert say(module, "똠은 뷁과,똠도", no_repeat=2, num_beams=num_beams, settings=settings) == ("똠은 뷁과,똠도")


@pytest.mark.shared
@pytest.mark.parametrize("settings", [None, ConstraintSettings(small_head=False)], ids=["free", "constrained"])
@pytest.mark.parametrize("name", ["qwen3", "llama3_1"])
def test_rare_syllables_stay_whole_on_real_vocabularies(
    name: str, settings: ConstraintSettings | None, shared_dir: Path
) -> None:
    folder = shared_dir / "tokenizers" / name
    shape = {"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "num_key_value_heads": 2, "intermediate_size": 16}  # fmt: skip
    module = CausalModule(str(folder), random_init=True, config_overrides=shape, rouge_tokenizer="char")
    module.configure_model()
    module.eval()
    said = "똠 뷁은 똠과 뷁이다. 쀍처럼 쀍답다"
    assert max(len(module.encoder.tokenizer.encode(letter, add_special_tokens=False)) for letter in said) == 3
    assert say(module, said, no_repeat=3, num_beams=1, settings=settings) == said


def say(
    module: SummarizationModule,
    text: str,
    *,
    no_repeat: int,
    num_beams: int,
    settings: ConstraintSettings | None,
) -> str:
    """What comes out under an n-gram rule when the model wants to say `text`."""
    wanted = [*module.encoder.tokenizer.encode(text, add_special_tokens=False), module.encoder.terminator_ids[0]]
    batch = collate_rows(module, [LATIN], for_generation=True)
    handle = module.language_model.register_forward_hook(_insists_on(wanted))
    preset = DecodingPreset(
        name="strict",
        max_new_tokens=40,
        no_repeat_ngram_size=no_repeat,
        no_repeat_ngram_unit="token",
        num_beams=num_beams,
    )
    completion = completions_of(module, batch, preset=preset, settings=settings)[0]
    handle.remove()
    return module.encoder.decode(completion.ids)


def _insists_on(ids: list[int]) -> Callable[..., object]:
    """A hook that makes a model want these ids, one a step, whatever it reads."""
    step = iter(ids)

    def hook(_: object, __: object, output: object) -> object:
        if output.logits.dim() == 2:
            return output  # the pass that scores what was said
        token = next(step, ids[-1])
        output.logits[:, -1] -= 50.0
        output.logits[:, -1, token] = 50.0
        return output

    return hook
