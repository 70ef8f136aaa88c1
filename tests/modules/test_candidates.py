"""Several candidates of a row: each is what it says it is, and minimum Bayes risk takes one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.decode import ConstraintSettings, DecodingPreset, GenerationShape, RowLength
from kosum_pl.decode.candidates import MbrSettings
from kosum_pl.encode import Batch
from kosum_pl.metrics.least_risk import least_risk
from kosum_pl.metrics.tokenize import get_tokenizer
from kosum_pl.modules import SummarizationModule
from kosum_pl.modules.generation import generate
from kosum_pl.types import Prediction
from tests.modules_fixtures import DIALOGUES, collate_rows, quiet_trainer, wide_module

PRESET = DecodingPreset(name="fast", max_new_tokens=7, num_beams=2)
SETTINGS = {"sample": MbrSettings(num_candidates=4), "beam": MbrSettings(num_candidates=4, method="beam")}
CONSTRAINTS = {"free": None, "constrained": ConstraintSettings()}


def candidates(
    module: SummarizationModule, batch: Batch, settings: MbrSettings, preset: DecodingPreset = PRESET
) -> list[list[Prediction]]:
    with torch.inference_mode():
        return module._summarizer.candidates(
            module.language_model, batch, preset=preset, stage="predict", settings=settings
        )


def batch_of(module: SummarizationModule, num_rows: int = 5) -> Batch:
    return collate_rows(module.eval(), DIALOGUES[:num_rows], for_generation=True)


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS.keys())
def test_the_first_beam_is_the_summary_of_as_many_beams(kind: str, constraint: ConstraintSettings | None) -> None:
    module = wide_module(kind, constraint=constraint, postprocess=[])
    batch = batch_of(module)
    found = candidates(module, batch, SETTINGS["beam"])
    with torch.inference_mode():
        best = module.summarize_batch(batch, preset=replace(PRESET, num_beams=4))
    assert [row[0].raw_text for row in found] == [row.raw_text for row in best]
    assert [row[0].log_prob for row in found] == pytest.approx([row.log_prob for row in best], abs=1e-3)
    assert all(len({each.raw_text for each in row}) > 1 for row in found)


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS.keys())
@pytest.mark.parametrize("method", SETTINGS)
def test_every_candidate_has_the_log_probability_of_its_ids(
    kind: str, method: str, constraint: ConstraintSettings | None
) -> None:
    """Over what its row may hold: without a constraint that is the whole vocabulary."""
    module = wide_module(kind, constraint=constraint, postprocess=[])
    batch, preset = batch_of(module, 3), SETTINGS[method].preset_for(PRESET)
    rules = module._summarizer._rules if constraint else module._summarizer._rules_without_constraint
    with torch.inference_mode():
        found = generate(module.language_model, batch, preset=preset, rules=rules, num_candidates=4)
    assert len(found) == 12
    for place, each in enumerate(found):
        row = batch.select([place // 4])
        logits = logits_of(module, row, each.ids)
        if constraint is not None:
            columns = rules.constraint.for_rows(
                [constraint.row_words(row.dialogues[0].text)], GenerationShape(prompt_length=1, max_new_tokens=7)
            ).columns
            allowed = torch.full_like(logits, -torch.inf)
            allowed[:, columns.ids] = logits[:, columns.ids]
            logits = allowed
        wanted = logits.log_softmax(dim=1)[range(len(each.ids)), list(each.ids)].sum()
        assert each.log_prob == pytest.approx(float(wanted), abs=1e-3)


def logits_of(module: SummarizationModule, row: Batch, ids: Sequence[int]) -> Tensor:
    """What a model says at each of the ids that it is given, (N, V)."""
    assert row.prompt_ids is not None
    model, written = module.language_model, torch.tensor([list(ids)])
    with torch.inference_mode():
        if module.is_causal:
            start = row.prompt_ids.shape[1] - 1
            return model(input_ids=torch.cat([row.prompt_ids, written], dim=1)).logits[0, start : start + len(ids)]
        begin = torch.tensor([[model.generation_config.decoder_start_token_id]])
        decoded = model(input_ids=row.prompt_ids, decoder_input_ids=torch.cat([begin, written], dim=1))
        return decoded.logits[0, : len(ids)]


@pytest.mark.parametrize("method", SETTINGS)
def test_rows_keep_their_own_limits(kind: str, method: str) -> None:
    module = wide_module(kind, postprocess=[])
    batch = batch_of(module)
    share = {"seq2seq": 0.12, "causal": 0.07}[kind]  # causal prompts hold a template too
    preset = replace(PRESET, max_new_tokens=RowLength(per_source_token=share, min=4, max=13))
    assert batch.prompt_mask is not None
    limits = [preset.max_new_tokens_of(int(length)) for length in batch.prompt_mask.sum(dim=1)]
    assert len(set(limits)) > 1
    for row, limit in zip(candidates(module, batch, SETTINGS[method], preset), limits, strict=True):
        assert all(each.num_tokens <= limit for each in row)
        assert any(each.num_tokens == limit for each in row)


def test_samples_differ_and_come_back(kind: str) -> None:
    module = wide_module(kind, postprocess=[], constraint=ConstraintSettings())
    batch = batch_of(module)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = candidates(module, batch, SETTINGS["sample"])
    assert torch.equal(torch.get_rng_state(), state)
    assert [[each.raw_text for each in row] for row in candidates(module, batch, SETTINGS["sample"])] == [
        [each.raw_text for each in row] for row in first
    ]
    assert all(len({each.raw_text for each in row}) > 1 for row in first)
    assert [[each.example_id for each in row] for row in first] == [[name] * 4 for name in batch.example_ids]
    charset = module.decoding.charset
    texts = [each.raw_text for row in first for each in row]
    assert not any(ord(char) > 127 and char not in charset for text in texts for char in text)


def test_no_more_sequences_are_generated_at_once_than_for_summaries(monkeypatch: pytest.MonkeyPatch) -> None:
    module = wide_module("seq2seq", postprocess=[])
    sizes: list[int] = []
    real = module.language_model.generate

    def generate_noted(**words: Any) -> Any:
        sizes.append(len(words["input_ids"]))
        return real(**words)

    monkeypatch.setattr(module.language_model, "generate", generate_noted)
    candidates(module, batch_of(module, 8), SETTINGS["sample"])  # 8 rows of 2 beams: 16 sequences, 4 rows of 4
    assert sizes == [4, 4]
    module._summarizer.candidates(
        module.language_model,
        batch_of(module, 8),
        preset=PRESET,
        stage="predict",
        settings=SETTINGS["sample"],
        together="FSDPStrategy",
    )
    assert sizes == [4, 4, 8]


def test_an_evaluation_takes_what_the_others_agree_with(cut_demo: Callable[[int, int], dict[str, str]]) -> None:
    settings = MbrSettings(num_candidates=5, weights={"rouge1": 1.0, "rougeL": 2.0})
    module = wide_module("seq2seq", mbr=settings, presets=["fast"])
    data = SummarizationDataModule(**cut_demo(8, 6), batch_size=4, eval_batch_size=6, num_workers=0)  # type: ignore[arg-type]
    trainer = quiet_trainer()
    trainer.validate(module, datamodule=data, verbose=False)
    (batch,) = data.val_dataloader()
    (preset,) = module.decoding.router.presets
    rows = candidates(module.eval(), batch, settings, preset)
    chosen = least_risk(rows, tokenizer=get_tokenizer("char"), weights=settings.weights)
    order = [module.predictions[row].text for row in batch.rows]
    assert order == [each.text for each in chosen]
    assert module.score_record()["mbr"]["num_candidates"] == 5


def test_inside_fit_the_preset_alone_decides(cut_demo: Callable[[int, int], dict[str, str]]) -> None:
    files = cut_demo(8, 4)
    texts = []
    for mbr in (None, SETTINGS["sample"]):
        module = wide_module("seq2seq", mbr=mbr)
        data = SummarizationDataModule(**files, batch_size=4, eval_batch_size=4, num_workers=0)  # type: ignore[arg-type]
        torch.manual_seed(0)
        quiet_trainer(max_steps=1, val_check_interval=1).fit(module, datamodule=data)
        texts.append([each.text for each in module.predictions])
        assert "mbr" not in module.score_record()
    assert texts[0] == texts[1]
