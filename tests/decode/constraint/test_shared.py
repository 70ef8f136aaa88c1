"""The guarantee on real tokenizers: nothing foreign in any mode, and no Korean text lost."""

from __future__ import annotations

import csv
import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from kosum_pl.decode.constraint.kinds import AutomatonConstraint
from kosum_pl.decode.constraint.processors import GenerationShape
from kosum_pl.decode.literals import DEFAULT_LITERALS, foreign_places
from kosum_pl.decode.settings import ConstraintSettings
from tests.decode.driver import Driver, is_accepted

pytestmark = pytest.mark.shared

Drive = Callable[..., Driver]
NAMES = ("qwen3", "llama3_1", "kobart")
WORDS = (("KTX", "Jimmy"), (), ("5km", "café", "大會"), ("Wi-Fi", "PPT"))
# (arguments, rows, tokens a sequence): 2,000 tokens and more in each.
MODES: dict[str, tuple[dict[str, Any], int, int]] = {
    "greedy": ({}, 4, 500),
    "sampling": ({"do_sample": True}, 4, 500),
    "top_k_top_p": ({"do_sample": True, "top_k": 50, "top_p": 0.95}, 4, 500),
    "beams": ({"num_beams": 4, "num_return_sequences": 4}, 2, 250),
    "beam_sampling": ({"num_beams": 4, "num_return_sequences": 4, "do_sample": True}, 2, 250),
    "no_repeat_2": ({"no_repeat_ngram_size": 2}, 4, 500),
    "static_cache": ({"cache_implementation": "static"}, 4, 500),
}
DRAFTS = ("assisted", "prompt_lookup")


@cache
def loaded(folder: Path) -> tuple[Any, AutomatonConstraint]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    built = ConstraintSettings().build(tokenizer, eos_token_ids=[tokenizer.eos_token_id])
    assert isinstance(built, AutomatonConstraint)
    return tokenizer, built


@pytest.fixture(params=NAMES)
def real(request: pytest.FixtureRequest, shared_dir: Path) -> tuple[Any, AutomatonConstraint]:
    """A tokenizer and its constraint."""
    return loaded(shared_dir / "tokenizers" / request.param)


@pytest.fixture
def drive_real(drive: Drive, real: tuple[Any, AutomatonConstraint]) -> Callable[..., Driver]:
    """A model wider than the vocabulary, as Qwen3's is; pieces of characters are boosted, the end is not."""
    tokenizer, constraint = real

    def build(kind: str, *, words: Sequence[Sequence[str]]) -> Driver:
        ends = constraint.eos_token_ids
        run = drive(
            kind,
            width=len(tokenizer) + 267,
            constraint=constraint,
            words=words,
            terminators=ends,
            is_small=True,
            boost=8.0,
        )
        run.model.generation_config.pad_token_id = ends[0]
        return run

    return build


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mode"), [*(("llama", mode) for mode in MODES), *(("bart", mode) for mode in ("greedy", "beams"))]
)
def test_2000_tokens_of_each_mode_hold_nothing_foreign(drive_real: Callable[..., Driver], kind: str, mode: str) -> None:
    arguments, rows, length = MODES[mode]
    run = drive_real(kind, words=WORDS[:rows])
    ids = run(length, **arguments)
    assert ids.numel() >= 2000
    assert not torch.isin(ids, torch.tensor(run.terminators)).any()
    assert run.num_foreign(ids) == 0
    assert not any("\ufffd" in text for _, text in run.texts(ids))
    assert run.num_foreign(run.free(150, **arguments)) > 100


@pytest.mark.slow
@pytest.mark.parametrize("drafts", DRAFTS)
def test_2000_tokens_of_drafts(
    real: tuple[Any, AutomatonConstraint], tiny: Any, drive_real: Callable[..., Driver], drafts: str
) -> None:
    """transformers drafts for one row at a time: 500 tokens for each of four rows."""
    assistant = tiny("llama", width=len(real[0]) + 267, seed=5)
    way = {"assistant_model": assistant} if drafts == "assisted" else {"prompt_lookup_num_tokens": 3}
    run, total, leaked = drive_real("llama", words=WORDS[:1]), 0, 0
    for row, words in enumerate(WORDS):
        one = replace(run, words=[words])
        ids = one(500, seed=row, do_sample=row % 2 == 1, **way)
        total += ids.numel()
        leaked += one.num_foreign(ids)
    assert total >= 2000
    assert leaked == 0


@pytest.mark.parametrize("mode", ["sampling", "beams"])
def test_a_few_tokens_hold_nothing_foreign(drive_real: Callable[..., Driver], mode: str) -> None:
    """The same as above, short."""
    arguments, rows, _ = MODES[mode]
    run = drive_real("llama", words=WORDS[:rows])
    assert run.num_foreign(run(40, **arguments)) == 0
    assert run.num_foreign(run.free(40, **arguments)) > 40


def test_syllables(real: tuple[Any, AutomatonConstraint], request: pytest.FixtureRequest) -> None:
    """In their canonical encoding: all on byte-level vocabularies, on KoBART those that it knows."""
    tokenizer, constraint = real
    texts = [chr(point) for point in range(0xAC00, 0xD7A4)]
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    accepted = [constraint.tables.accepts(ids) for ids in encoded]
    has_unknown = (
        [tokenizer.unk_token_id in ids for ids in encoded] if "kobart" in request.node.name else [False] * 11172
    )
    assert sum(accepted) == (4877 if "kobart" in request.node.name else 11172)
    assert accepted == [not unknown for unknown in has_unknown]


def test_summaries_of_the_dev_set(real: tuple[Any, AutomatonConstraint], shared_dir: Path) -> None:
    """A summary is accepted in its canonical encoding if and only if nothing in it is foreign to its row."""
    tokenizer, constraint = real
    normalizer = tokenizer.backend_tokenizer.normalizer
    with (shared_dir / "data" / "dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    settings, clean, accepted = ConstraintSettings(), [], []
    for place, row in enumerate(rows):
        words = settings.row_words(row["dialogue"])
        text = unicodedata.normalize("NFC", row["summary"])
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        normal = normalizer.normalize_str(text) if normalizer is not None else text
        if not foreign_places(normal, charset=settings.character_set, literals=DEFAULT_LITERALS, row_words=words):
            clean.append(place)
        if is_accepted(constraint, ids, words):
            accepted.append(place)
    assert accepted == clean
    assert len(rows) == 499
    assert len(clean) > 480


@pytest.mark.parametrize("name", NAMES)
def test_masks_equal_those_of_xgrammar(shared_dir: Path, name: str) -> None:
    """Along random walks without words; the end is open where we open it."""
    xgrammar = pytest.importorskip("xgrammar")
    tokenizer, constraint = loaded(shared_dir / "tokenizers" / name)
    tables, width = constraint.tables, len(tokenizer)
    spans = ConstraintSettings().character_set.spans
    inside = "".join(f"\\U{first:08X}-\\U{last:08X}" for first, last in spans)
    literals = " | ".join(f'"{literal}"' for literal in DEFAULT_LITERALS)
    info = xgrammar.TokenizerInfo(
        list(tables.written), xgrammar.VocabType.RAW, vocab_size=width, stop_token_ids=list(constraint.eos_token_ids)
    )
    compiled = xgrammar.GrammarCompiler(info).compile_grammar(f"root ::= ([{inside}] | {literals})*")
    bits = xgrammar.allocate_token_bitmask(1, width)
    draw, num_steps, num_fragments = random.Random(0), 0, 0
    for _ in range(6):
        matcher, ids = xgrammar.GrammarMatcher(compiled), [0]
        processor = constraint.for_rows([()], GenerationShape(prompt_length=1, max_new_tokens=10**6)).processor
        for _ in range(25):
            matcher.fill_next_token_bitmask(bits)
            theirs = np.unpackbits(bits.numpy().view(np.uint8), bitorder="little")[:width].astype(bool)
            ours = processor(torch.tensor([ids]), torch.zeros(1, width))[0].isfinite().numpy()
            assert np.array_equal(ours, theirs)
            allowed = np.flatnonzero(ours[: len(tables.written)])
            pieces = [token for token in allowed if not is_whole(tables.written[token])]
            # Half of the steps begin or go on with a piece of a character or a tag, where there is one.
            token = int(draw.choice(pieces if pieces and draw.random() < 0.5 else allowed.tolist()))
            if token in constraint.eos_token_ids:
                continue
            num_fragments += token in pieces
            num_steps += 1
            assert matcher.accept_token(token)
            ids.append(token)
    assert num_steps > 100
    assert num_fragments > (20 if name != "kobart" else 0)


def is_whole(piece: bytes) -> bool:
    return "\ufffd" not in piece.decode("utf-8", "replace") and b"#" not in piece
