"""Batches of an evaluation that do not fit into memory, against runs whose batches really are smaller."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.decode import DecodingPreset
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import Batch
from kosum_pl.errors import UsageError
from kosum_pl.modules import SummarizationModule, out_of_memory
from kosum_pl.modules.generation import encode_prompts
from kosum_pl.modules.out_of_memory import Demand, in_parts
from kosum_pl.types import Prediction
from tests.memory_errors import CPU_MESSAGE, CUBLAS_MESSAGE, cuda_error, exhaust_cpu
from tests.modules_fixtures import DIALOGUES, collate_rows, quiet_trainer, wide_module

GREEDY = DecodingPreset(name="greedy", max_new_tokens=8)
BEAMS = DecodingPreset(name="beams", max_new_tokens=8, num_beams=3)
Limit = Callable[[SummarizationModule, int], list[int]]


@pytest.fixture(autouse=True)
def _silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is a process of its own, as far as it is said once."""
    monkeypatch.setattr(out_of_memory, "_has_said", False)


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Gives a module's `generate` memory for so many rows; returns the numbers of rows that were tried."""

    def limit(module: SummarizationModule, num_rows: int) -> list[int]:
        tried: list[int] = []
        generate = module.language_model.generate

        def limited(*, attention_mask: torch.Tensor, **named: Any) -> Any:
            tried.append(len(attention_mask))
            if len(attention_mask) > num_rows:
                raise cuda_error()
            return generate(attention_mask=attention_mask, **named)

        monkeypatch.setattr(module.language_model, "generate", limited)
        return tried

    return limit


def double_module(kind: str, **settings: Any) -> SummarizationModule:
    return wide_module(kind, dtype="float64", **settings).eval()


def summarize(module: SummarizationModule, batch: Batch, preset: DecodingPreset, **named: Any) -> list[Prediction]:
    with torch.inference_mode():
        return module.summarize_batch(batch, preset=preset, **named)


@pytest.mark.parametrize("preset", [GREEDY, BEAMS], ids=["greedy", "beams"])
def test_halves_say_what_batches_of_half_the_rows_say(kind: str, preset: DecodingPreset, limit: Limit) -> None:
    module = double_module(kind)
    halves = [
        prediction
        for rows in (DIALOGUES[:4], DIALOGUES[4:])
        for prediction in summarize(module, collate_rows(module, rows, for_generation=True), preset)
    ]
    tried = limit(module, 4)
    found = summarize(module, collate_rows(module, DIALOGUES, for_generation=True), preset)
    assert tried == [8, 4, 4]
    assert found == halves  # log-probabilities to the last bit
    assert [row.example_id for row in found] == [row.example_id for row in DIALOGUES]
    assert len({row.text for row in found}) > 1


def test_it_goes_down_to_one_row_and_says_so_once(kind: str, limit: Limit, capsys: pytest.CaptureFixture[str]) -> None:
    module = double_module(kind)
    batch = collate_rows(module, DIALOGUES[:7], for_generation=True)
    alone = [summarize(module, batch.select([row]), BEAMS)[0] for row in range(7)]
    tried = limit(module, 1)
    assert summarize(module, batch, BEAMS) == alone
    assert summarize(module, batch, BEAMS) == alone
    assert tried == 2 * [7, 4, 2, 1, 1, 2, 1, 1, 3, 2, 1, 1, 1]
    num_tokens = batch.prompt_ids.shape[1]  # type: ignore[union-attr]
    assert capsys.readouterr().err == (
        f"kosum_pl: warning: a batch of 7 rows x {num_tokens} tokens with 3 beams did not fit into memory and is "
        "generated row by row; set data.eval_batch_size=1 (summarize: --batch_size 1) to spare the attempts\n"
    )


def test_the_line_names_the_part_that_fitted(limit: Limit, capsys: pytest.CaptureFixture[str]) -> None:
    module = double_module("causal")
    limit(module, 3)
    summarize(module, collate_rows(module, DIALOGUES, for_generation=True), GREEDY)
    said = capsys.readouterr().err
    assert " tokens did not fit into memory and is generated in parts of 2; set data.eval_batch_size=2 (" in said


def test_a_batch_that_fits_is_neither_copied_nor_spoken_of(
    limit: Limit, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = double_module("seq2seq")
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    monkeypatch.delattr(Batch, "select")
    parts = list(in_parts(batch, lambda part, places: (part, places), demand=Demand()))
    assert [(part is batch, places) for part, places, _ in parts] == [(True, range(8))]
    assert limit(module, 8) == []
    summarize(module, batch, GREEDY)
    assert capsys.readouterr().err == ""


def test_rows_that_are_generated_again_are_split_by_themselves(limit: Limit) -> None:
    """The first attempt fits, and is not repeated because a later one does not."""
    regenerator = Regenerator(checks=["no_eos"], max_attempts=1, presets=["fast"])
    module = double_module("causal", regenerator=regenerator)
    whole = summarize(module, collate_rows(module, DIALOGUES, for_generation=True), GREEDY)
    num_again = sum(row.attempts == 2 for row in whole)
    assert num_again > 2
    tried: list[int] = []
    generate = module.language_model.generate

    def limited(*, attention_mask: torch.Tensor, **named: Any) -> Any:
        tried.append(len(attention_mask))
        if len(tried) == 2:
            raise cuda_error()
        return generate(attention_mask=attention_mask, **named)

    module.language_model.generate = limited  # type: ignore[method-assign,assignment]
    found = summarize(module, collate_rows(module, DIALOGUES, for_generation=True), GREEDY)
    assert tried == [8, num_again, -(-num_again // 2), num_again // 2]
    assert [(row.text, row.attempts, row.preset) for row in found] == [
        (row.text, row.attempts, row.preset) for row in whole
    ]


def test_with_a_first_attempt_in_halves_the_rest_goes_on_by_halves(kind: str, limit: Limit) -> None:
    regenerator = Regenerator(checks=["no_eos"], max_attempts=2, presets=["fast"])
    module = double_module(kind, regenerator=regenerator)
    halves = [
        prediction
        for rows in (DIALOGUES[:4], DIALOGUES[4:])
        for prediction in summarize(module, collate_rows(module, rows, for_generation=True), BEAMS)
    ]
    assert max(row.attempts for row in halves) > 1
    limit(module, 4)
    assert summarize(module, collate_rows(module, DIALOGUES, for_generation=True), BEAMS) == halves


def test_each_part_has_its_own_encoder_states(limit: Limit) -> None:
    module = double_module("seq2seq")
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    with torch.inference_mode():
        states = encode_prompts(module.language_model, batch)
    whole = summarize(module, batch, GREEDY, encoder_states=states)
    limit(module, 3)
    found = summarize(module, batch, GREEDY, encoder_states=states)
    assert [row.text for row in found] == [row.text for row in whole]
    assert [row.log_prob for row in found] == pytest.approx([row.log_prob for row in whole], rel=1e-6)


@pytest.mark.parametrize(
    "error",
    [cuda_error(), RuntimeError(CPU_MESSAGE), RuntimeError(CUBLAS_MESSAGE), RuntimeError("CUDA error: out of memory")],
    ids=["cuda", "cpu", "cublas", "driver"],
)
def test_whoever_refuses_the_memory(error: Exception) -> None:
    batch = collate_rows(wide_module("seq2seq"), DIALOGUES[:2], for_generation=True)

    def compute(part: Batch, places: range) -> int:
        if len(places) > 1:
            raise error
        return part.rows[0]

    assert [found for *_, found in in_parts(batch, compute, demand=Demand())] == [0, 1]


def test_any_other_error_is_raised_at_once() -> None:
    batch = collate_rows(wide_module("seq2seq"), DIALOGUES[:2], for_generation=True)
    calls: list[range] = []

    def compute(part: Batch, places: range) -> None:
        calls.append(places)
        raise RuntimeError("CUDA error: device-side assert triggered")

    with pytest.raises(RuntimeError, match="device-side assert"):
        list(in_parts(batch, compute, demand=Demand()))
    assert calls == [range(2)]


def test_what_did_not_fit_is_let_go_before_the_halves_are_tried() -> None:
    """Also where its frames hold each other in a circle, as those of a model's hooks do."""
    batch = collate_rows(wide_module("seq2seq"), DIALOGUES[:2], for_generation=True)
    held: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def compute(part: Batch, places: range) -> None:
        alive.append(sum(reference() is not None for reference in held))
        activations = torch.zeros(3)
        circle: list[Any] = [activations]
        circle.append(circle)
        held.append(weakref.ref(activations))
        if len(places) > 1:
            exhaust_cpu()

    gc.disable()
    try:
        list(in_parts(batch, compute, demand=Demand()))
    finally:
        gc.enable()
    assert alive[:2] == [0, 0]


def test_a_row_that_is_too_much_by_itself_is_named(kind: str, limit: Limit) -> None:
    module = double_module(kind)
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    num_tokens = int(batch.prompt_mask[0].sum())  # type: ignore[index]
    limit(module, 0)
    with pytest.raises(UsageError) as caught:
        summarize(module, batch, BEAMS)
    assert str(caught.value) == (
        f"row row_1 alone does not fit into memory (Tried to allocate 2.00 GiB): {num_tokens} prompt tokens, 3 beams, "
        "at most 8 new tokens by preset 'beams'; take a preset with fewer than num_beams: 3 (model.preset, within fit "
        "model.fit_preset), lower data.max_source_tokens or max_new_tokens, or take a smaller model, "
        "model.dtype=bfloat16 or model.quantization=nf4"
    )
    with pytest.raises(UsageError, match=r"1 beam, at most 8 new tokens by preset 'greedy'; take lower data"):
        summarize(module, batch, GREEDY)


def test_ranks_that_compute_together_do_not_split_alone(limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others would wait for ever."""
    module = double_module("seq2seq")
    module.trainer = quiet_trainer(max_epochs=1)
    strategy = FSDPStrategy(accelerator=module.trainer.accelerator)
    monkeypatch.setattr(module.trainer._accelerator_connector, "strategy", strategy)
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    tried = limit(module, 4)
    assert len(summarize(module, batch, GREEDY)) == 8  # one rank has nobody to wait for it
    monkeypatch.setattr(type(module.trainer), "world_size", 2)
    tried.clear()
    with pytest.raises(UsageError, match=r"with FSDPStrategy no rank can split its own: set data.eval_batch_size=4$"):
        summarize(module, batch, GREEDY)
    assert tried == [8]


def evaluate(data: dict[str, str], kind: str, batch_size: int, limit_rows: int | None = None) -> SummarizationModule:
    """A validation of 8 rows, with memory for a loss over so many rows at once."""
    module = wide_module(kind, dtype="float64", presets=["fast"])
    datamodule = SummarizationDataModule(**data, batch_size=2, eval_batch_size=batch_size, num_workers=0)  # type: ignore[arg-type]
    logits = module.supervised_logits

    def limited(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        if limit_rows is not None and len(batch.rows) > limit_rows:
            raise cuda_error()
        return logits(batch)

    module.supervised_logits = limited  # type: ignore[method-assign]
    quiet_trainer().validate(module, datamodule, verbose=False)
    return module


def test_a_validation_in_halves_has_the_scores_of_one_with_half_the_batch_size(
    kind: str, cut_demo: Callable[[int, int], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    data = cut_demo(2, 8)
    half = evaluate(data, kind, 4)
    split = evaluate(data, kind, 8, limit_rows=4)
    assert split.scores["val/loss"] == half.scores["val/loss"]
    assert [row.text for row in split.predictions] == [row.text for row in half.predictions]
    assert "did not fit into memory and is scored by its loss in parts of 4" in capsys.readouterr().err


def test_a_rank_s_filling_rows_stay_uncounted_in_parts() -> None:
    module = double_module("seq2seq")
    batch = collate_rows(module, DIALOGUES[:4], for_generation=True)
    batch.is_counted = False
    parts = [part for part, *_ in in_parts(batch, _fits_two, demand=Demand())]
    assert [(part.rows, part.is_counted) for part in parts] == [((0, 1), False), ((2, 3), False)]


def _fits_two(part: Batch, places: range) -> None:
    if len(places) > 2:
        raise cuda_error()
