"""Real references under every shipped config's presets, with real tokenizers."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from kosum_pl.decode import ConstraintSettings, DecodingSettings
from kosum_pl.decode.reachability.references import References
from kosum_pl.encode import TokenLimits
from tests.shared_fixtures import shared_encoder, shared_rows

pytestmark = pytest.mark.shared

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
CHARSET_FORBIDS = 8
LIMITS = TokenLimits(max_source_tokens=1536, max_summary_tokens=192)
"""Dev references with names that their dialogue has not."""


@cache
def references(shared_dir: Path, tokenizer_name: str, cache_dir: Path) -> References:
    encoder = shared_encoder(shared_dir, tokenizer_name)
    table = shared_rows(shared_dir, "dev", cache_dir=cache_dir)
    return References(
        [table[row] for row in range(len(table))], encoder=encoder, constraint=ConstraintSettings(), limits=LIMITS
    )


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("tokenizer_name", ["kobart", "llama3_1", "qwen3"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_what_is_trained_for_can_be_said(shared_dir: Path, cache_dir: Path, tokenizer_name: str, path: Path) -> None:
    model: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["model"]["init_args"]
    decoding = DecodingSettings.load(presets=model["presets"], fit_preset=model["fit_preset"])
    held = references(shared_dir, tokenizer_name, cache_dir)
    for router in (decoding.router, decoding.fit_router):
        found = held.measure(router.preset_for)
        assert found.num_rows == 499
        assert found.share >= 0.99, found.line("dev")
        assert len(found.charset) == CHARSET_FORBIDS
        assert not found.unwritable


@pytest.mark.parametrize("tokenizer_name", ["kobart", "llama3_1", "qwen3"])
def test_the_phrase_ban_forbids_what_repeats_a_phrase_and_nothing_else(
    shared_dir: Path, cache_dir: Path, tokenizer_name: str
) -> None:
    held = references(shared_dir, tokenizer_name, cache_dir)
    repeating = []
    for row in held.dialogues:
        words = row.references[0].split()
        phrases = [tuple(words[start : start + 3]) for start in range(len(words) - 2)]
        if len(phrases) > len(set(phrases)):
            repeating.append(row.example_id)
    assert repeating == ["dev_449"]
    assert held.measure(DecodingSettings.load().router.preset_for).forbidden["no_repeat_ngram_size"] == repeating
