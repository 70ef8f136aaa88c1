"""From raw text to final text, and rows that are generated again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from kosum_pl.decode import ConstraintSettings, DecodingPreset
from kosum_pl.decode.regenerate import Regenerator
from kosum_pl.encode import Batch
from kosum_pl.modules import SummarizationModule
from kosum_pl.modules import summarizer as summarizer_file
from kosum_pl.modules.generation import Completion, encode_prompts
from kosum_pl.modules.summarizer import Summarizer
from kosum_pl.types import Dialogue
from tests.modules_fixtures import DIALOGUES, collate_rows, wide_module

GREEDY = DecodingPreset(name="greedy", max_new_tokens=8)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[Any, ...]]]:
    """Replaces generation: attempt by attempt, what is said to each row; returns the calls."""

    def script(
        module: SummarizationModule, *attempts: dict[str, str], unfinished: Sequence[str] = ()
    ) -> list[tuple[Any, ...]]:
        calls: list[tuple[Any, ...]] = []

        def generate(model: Any, batch: Batch, *, preset: DecodingPreset, attempt: int, **_: Any) -> list[Completion]:
            calls.append((preset.name, batch.example_ids, attempt))
            encode = module.encoder.tokenizer.encode
            eos = module.encoder.terminator_ids[0]
            completions = []
            for name in batch.example_ids:
                end = () if name in unfinished else (eos,)
                ids = (*encode(attempts[attempt][name], add_special_tokens=False), *end)
                completions.append(Completion(ids=ids, log_prob=-1.0, reached_eos=bool(end)))
            return completions

        monkeypatch.setattr(summarizer_file, "generate", generate)
        return calls

    return script


def rows(*texts: str) -> list[Dialogue]:
    return [
        Dialogue(example_id=f"row_{place}", text=text, references=("온다.",)) for place, text in enumerate(texts, 1)
    ]


def summarize(module: SummarizationModule, dialogues: Sequence[Dialogue]) -> list[Any]:
    return module.summarize_batch(collate_rows(module, dialogues, for_generation=True), preset=GREEDY)


def test_raw_and_final_text_are_kept_with_the_steps_that_changed_it(say: Callable[..., Any]) -> None:
    module = wide_module("causal")
    dialogues = rows("#Person1#: KTX 타자.", "#Person1#: 버스 타자.")
    say(module, {"row_1": "#Person1 #은 KTX를 탄다.", "row_2": "#Person1#은 KTX를 탄다."})
    repaired, filtered = summarize(module, dialogues)
    assert (repaired.raw_text, repaired.text) == ("#Person1 #은 KTX를 탄다.", "#Person1#은 KTX를 탄다.")
    assert repaired.changed_steps == ("tag_repair",)
    assert (filtered.raw_text, filtered.text) == ("#Person1#은 KTX를 탄다.", "#Person1#은 를 탄다.")
    assert filtered.changed_steps == ("script_filter",)


def test_without_steps_the_text_is_what_was_said(say: Callable[..., Any]) -> None:
    module = wide_module("causal", postprocess=[])
    say(module, {"row_1": "會議  ."})
    (prediction,) = summarize(module, rows("#Person1#: 가자."))
    assert (prediction.text, prediction.changed_steps) == ("會議  .", ())


def test_a_row_that_was_cut_loses_its_last_sentence_where_that_is_asked_for(say: Callable[..., Any]) -> None:
    said = {"row_1": "민수가 간다. 민수가 온", "row_2": "민수가 간다. 민수가 온"}
    texts = {}
    for step in ("complete_sentence", "whitespace"):
        module = wide_module("causal", postprocess=[step])
        say(module, said, unfinished=["row_2"])
        found = summarize(module, rows("#Person1#: 가자.", "#Person1#: 온다."))
        assert [row.reached_eos for row in found] == [True, False]
        texts[step] = [(row.text, row.changed_steps) for row in found]
    whole = (said["row_1"], ())
    assert texts == {
        "complete_sentence": [whole, ("민수가 간다.", ("complete_sentence",))],
        "whitespace": [whole, whole],
    }


def test_failed_rows_alone_are_generated_again_and_the_best_attempt_is_kept(
    say: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "warm.yaml").write_text("do_sample: true\nseed: 1\n", encoding="utf-8")
    regenerator = Regenerator(max_attempts=2, presets=["fast", str(tmp_path / "warm.yaml")])
    module = wide_module("causal", regenerator=regenerator)
    calls = say(
        module,
        {"row_1": "민수가 會議에 간다.", "row_2": "민수가 회의에 간다.", "row_3": ""},
        {"row_1": "민수가 회의에 간다.", "row_3": "今天"},
        {"row_3": "민수가 회의에 늦는다."},
    )
    first, second, third = summarize(module, rows("#Person1#: 회의 가자.", "#Person1#: 가자.", "#Person1#: 늦네."))
    assert calls == [
        ("greedy", ("row_1", "row_2", "row_3"), 0),
        ("fast", ("row_1", "row_3"), 1),
        ("warm", ("row_3",), 2),
    ]
    assert [(row.text, row.attempts, row.preset) for row in (first, second, third)] == [
        ("민수가 회의에 간다.", 2, "fast"),
        ("민수가 회의에 간다.", 1, "greedy"),
        ("민수가 회의에 늦는다.", 3, "warm"),
    ]


def test_sampling_again_draws_anew() -> None:
    """A retry with the preset that failed would otherwise fail in the same words."""
    module = wide_module("causal", constraint=ConstraintSettings()).eval()
    batch = collate_rows(module, DIALOGUES[:2], for_generation=True)
    preset = DecodingPreset(name="warm", do_sample=True, temperature=1.0, seed=3, max_new_tokens=12)
    summarizer = Summarizer(module.encoder, module.decoding)
    with torch.inference_mode():
        said = [
            [
                row.raw_text
                for *_, found in summarizer._attempt(
                    module.language_model, batch, preset=preset, stage="predict", number=number
                )
                for row in found
            ]
            for number in (0, 1, 0)
        ]
    assert said[0] == said[2]
    assert said[0] != said[1]


def test_rows_that_are_tried_again_use_their_own_encoder_states() -> None:
    regenerator = Regenerator(checks=["no_eos"], max_attempts=1, presets=["fast"])
    module = wide_module("seq2seq", regenerator=regenerator).eval()
    batch = collate_rows(module, DIALOGUES, for_generation=True)
    with torch.inference_mode():
        computed = module.summarize_batch(batch, preset=GREEDY)
        states = encode_prompts(module.language_model, batch)
        reused = module.summarize_batch(batch, preset=GREEDY, encoder_states=states)
    assert reused == computed
    assert sum(prediction.attempts == 2 for prediction in computed) > 0
