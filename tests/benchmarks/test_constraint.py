from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

MODEL = {
    "vocab_size": 3_000,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
RATIOS = {
    "automaton_over_masked_fill",
    "automaton_over_xgrammar",
    "automaton_over_prefix_function",
    "row_literals_over_automaton",
    "small_head_over_unconstrained",
    "small_head_over_unconstrained_beams",
}
CPU = torch.device("cpu")


@pytest.fixture
def benchmark(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark; it is no part of what is installed."""
    monkeypatch.syspath_prepend(repository)
    return importlib.import_module("benchmarks.constraint")


@pytest.fixture
def vocabularies(benchmark: ModuleType) -> Any:
    made = importlib.import_module("benchmarks.constraint_vocabularies")
    return made, *made.measured_vocabulary("tiny", made.byte_level_tokenizer(3_000), num_loads=1)


@pytest.fixture
def without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    peers = importlib.import_module("benchmarks.constraint_peers")
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)


def tiny_scale(benchmark: ModuleType) -> Any:
    return benchmark.Scale(
        num_steps={1: 2, 32: 2}, num_warm_up=1, num_loads=1, num_repeats=1, num_checked_steps=6, model=MODEL,
        num_new_tokens=3,
    )  # fmt: skip


def test_run_knows_all_keys_and_says_what_is_not_installed(
    benchmark: ModuleType, vocabularies: Any, without_peers: None, capsys: pytest.CaptureFixture[str]
) -> None:
    _, vocabulary, costs = vocabularies
    found = benchmark.measure({"tiny": vocabulary}, {"tiny": costs}, scale=tiny_scale(benchmark), device=CPU)
    benchmark.finish(found, is_quick=True)
    stored = json.loads(json.dumps(found))
    assert stored["quick"] is True
    assert set(stored) == {
        "machine",
        "vocabularies",
        "generate",
        "decoding_step_3b",
        "quick",
        "ratios",
        "wall_ratios",
        "bars",
    }
    assert set(stored["ratios"]) >= RATIOS
    missing = {name for name, value in stored["ratios"].items() if value is None}
    assert missing == {"automaton_over_xgrammar", "automaton_share_of_decoding_step"}
    entry = stored["vocabularies"]["tiny"]
    assert entry["masks_equal"] == {
        "automaton, in place": True, "prefix function": True, "xgrammar": None, "llguidance": None,
    }  # fmt: skip
    assert all(milliseconds > 0 for ms in entry["step"]["ms"].values() for milliseconds in ms.values())
    assert set(entry["step"]["ms"]) == {"1", "32"}
    for mode in ("greedy", "beams"):
        assert set(stored["generate"][mode]["seconds"]) == set(benchmark.whole.HEADS)
    assert {"num_cpus", "num_threads", "torch", "load_average"} <= set(stored["machine"])

    benchmark.show(found)
    shown = capsys.readouterr().out
    assert "xgrammar                            not installed (pip install xgrammar)" in shown
    assert "PASS         row_literals" in shown or "FAIL         row_literals" in shown


def test_bars_are_held_against_the_worst_vocabulary_at_32_rows(benchmark: ModuleType) -> None:
    names = ["automaton", "automaton, row literals", "prefix function", "static mask, masked_fill", "xgrammar"]

    def entry(*milliseconds: float) -> dict[str, Any]:
        steps = {"1": dict.fromkeys(names, 1.0), "32": dict(zip(names, milliseconds, strict=True))}
        return {"build_s": 2.0, "load_s": 0.4, "step": {"ms": steps, "wall_ms": {"32": dict.fromkeys(names, 7.0)}}}

    seconds = {"unconstrained": 4.0, "full head + automaton": 5.0, "small head + automaton": 2.0}
    found = {
        "vocabularies": {"a": entry(2, 2.2, 40, 4, 20), "b": entry(3, 4.5, 30, 4, 24)},
        "generate": {"greedy": {"seconds": seconds}, "beams": {"seconds": {**seconds, "small head + automaton": 3.0}}},
        "decoding_step_3b": None,
    }
    benchmark.finish(found, is_quick=False)
    assert found["ratios"] == {
        "automaton_over_masked_fill": 0.75,
        "automaton_over_xgrammar": 0.125,
        "automaton_over_prefix_function": 0.1,
        "row_literals_over_automaton": 1.5,
        "small_head_over_unconstrained": 0.5,
        "small_head_over_unconstrained_beams": 0.75,
        "build_s": 2.0,
        "load_s": 0.4,
        "automaton_share_of_decoding_step": None,
    }
    assert set(found["wall_ratios"].values()) == {1.0}
    passes = {name: bar["passes"] for name, bar in found["bars"].items()}
    assert [name for name, verdict in passes.items() if verdict is False] == [
        "row_literals_over_automaton", "small_head_over_unconstrained_beams", "load_s",
    ]  # fmt: skip
    assert passes["automaton_share_of_decoding_step"] is None


def test_walks_are_allowed_text_that_stops_within_characters(vocabularies: Any) -> None:
    made, vocabulary, _ = vocabularies
    ids, within = vocabulary.walks(8, 50)
    assert ids.shape == (8, made.PROMPT_LENGTH + 50)
    assert 0 < within < 1
    written = vocabulary.constraint.tables.written
    charset = made.Charset()
    for row in ids[:, made.PROMPT_LENGTH :].tolist():
        text = b"".join(written[token] for token in row).decode("utf-8", "ignore")
        for literal in made.DEFAULT_LITERALS:
            text = text.replace(literal, "")
        assert len(text) > 20
        assert all(char in charset for char in text[:-15])


def test_a_mask_that_differs_ends_the_run(vocabularies: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _, vocabulary, _ = vocabularies
    peers = importlib.import_module("benchmarks.constraint_peers")
    found = peers.contenders

    def one_wrong(*args: Any, **kwargs: Any) -> Any:
        steps = found(*args, **kwargs)
        return {
            **steps,
            "xgrammar": lambda ids, scores: steps["automaton"](ids, scores).index_fill(1, torch.tensor([0]), 0.0),
        }

    monkeypatch.setattr(peers, "contenders", one_wrong)
    with pytest.raises(AssertionError, match="masks of xgrammar differ at step 0"):
        peers.assert_same_masks(vocabulary, peers.Peers(xgrammar=None, llguidance=None), num_rows=2, num_steps=2)


def test_share_of_a_decoding_step_is_of_all_its_parts(benchmark: ModuleType, vocabularies: Any) -> None:
    _, vocabulary, _ = vocabularies
    model = benchmark.whole.random_model(MODEL, device=CPU)
    found = benchmark.whole.share_of_decoding_step(
        vocabulary, model, num_rows=2, num_prompt_tokens=4, num_steps=3, num_warm_up=1
    )
    parts = [found[name] for name in ("model_s", "automaton_s", "choice_s")]
    assert found["share"] == pytest.approx(found["automaton_s"] / sum(parts))
    assert min(parts) > 0


@pytest.mark.slow
def test_libraries_allow_the_same_tokens(vocabularies: Any) -> None:
    pytest.importorskip("xgrammar")
    pytest.importorskip("llguidance")
    _, vocabulary, _ = vocabularies
    peers = importlib.import_module("benchmarks.constraint_peers")
    same = peers.assert_same_masks(vocabulary, peers.compile_peers(vocabulary), num_rows=8, num_steps=20)
    assert same == {"automaton, in place": True, "prefix function": True, "xgrammar": True, "llguidance": True}
