"""The constraints inside `generate`: one driver, several back ends, every decoding mode, tiny random models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedModel

from kosum_pl.decode.constraint.kinds import (
    AutomatonConstraint,
    Constraint,
    PrefixFunctionConstraint,
    StaticMaskConstraint,
)
from kosum_pl.decode.constraint.processors import REFILL, GenerationShape
from kosum_pl.decode.constraint.tables import TokenTables
from kosum_pl.types import TAG_PATTERN

TablesOf = Callable[[str], TokenTables]
Tiny = Callable[..., PreTrainedModel]
WORDS = (("KTX", "Jimmy"), (), ("5km", "café", "大會"), ("漢字",))
MODES: dict[str, dict[str, Any]] = {
    "greedy": {},
    "sampling": {"do_sample": True},
    "top_k_top_p": {"do_sample": True, "top_k": 20, "top_p": 0.9, "temperature": 1.3},
    "beams": {"num_beams": 4},
    "beam_sampling": {"num_beams": 3, "do_sample": True},
    "several_samples": {"do_sample": True, "num_return_sequences": 3},
    "several_beams": {"num_beams": 3, "num_return_sequences": 2},
    "no_repeat_2": {"no_repeat_ngram_size": 2},
    "no_repeat_3_beams": {"no_repeat_ngram_size": 3, "num_beams": 2},
    "repetition_penalty": {"repetition_penalty": 1.5, "do_sample": True},
    "min_new_tokens": {"min_new_tokens": 20},
    "static_cache": {"cache_implementation": "static"},
}
FORCED: dict[str, dict[str, Any]] = {"": {}, "eos": {"forced_eos_token_id": 2}, "bos": {"forced_bos_token_id": 0}}


def automaton(tables: TokenTables, terminators: tuple[int, ...] = (2,)) -> AutomatonConstraint:
    return AutomatonConstraint(tables, eos_token_ids=terminators)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["llama", "bart", "t5"])
def test_nothing_foreign_in_any_mode(tables_of: TablesOf, tiny: Tiny, driver: Any, kind: str, mode: str) -> None:
    """A model wider than its vocabulary, prompts of different lengths, small head on and off in turn."""
    tables = tables_of("byte_level")
    model, is_small = tiny(kind, width=440), [None, True, False][len(mode) % 3]
    held = driver(model=model, constraint=automaton(tables), words=WORDS, written=tables.written, is_small=is_small)
    ids = held(30, **MODES[mode])
    assert ids.shape[1] > 15
    assert held.num_foreign(ids) == 0
    free = driver(model=model, constraint=None, words=WORDS, written=tables.written)
    assert free.num_foreign(free(30, **MODES[mode])) > 40


def test_words_appear_in_their_rows_alone(tables_of: TablesOf, tiny: Tiny, driver: Any) -> None:
    """`num_foreign` holds each row against its own words; here some are really written."""
    tables = tables_of("byte_level")
    held = driver(model=tiny("llama"), constraint=automaton(tables), words=WORDS, written=tables.written, boost=0.0)
    letters = [index for index, piece in enumerate(tables.written) if piece.isascii() and piece.strip().isalpha()]
    likes = Likes(letters)
    seen: dict[int, str] = {row: "" for row in range(4)}
    for seed in range(4):
        ids = held(60, seed=seed, do_sample=True, before=[likes])
        assert held.num_foreign(ids) == 0
        for row, text in held.texts(ids):
            seen[row] += text
    assert "KTX" in seen[0]
    assert "Jimmy" in seen[0]
    assert "café" in seen[2]
    assert not any(char.isascii() and char.isalpha() for char in TAG_PATTERN.sub("", seen[1]))


class Likes(LogitsProcessor):  # type: ignore[misc]
    """Raises some scores, or puts everything else of some rows at minus infinity."""

    def __init__(self, ids: list[int], *, rows: Any = (), by: float = 6.0) -> None:
        self.ids, self.rows, self.by = ids, list(rows), by

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        changed = scores.clone()
        changed[:, self.ids] += self.by
        changed[self.rows] = -torch.inf
        return changed


@pytest.mark.parametrize("limit", range(1, 13))
@pytest.mark.parametrize(
    ("kind", "forced"), [("llama", ""), ("bart", ""), ("t5", ""), ("bart", "eos"), ("bart", "bos")]
)
def test_the_limit_never_cuts_a_character(
    tables_of: TablesOf, tiny: Tiny, driver: Any, kind: str, forced: str, limit: int
) -> None:
    tables = tables_of("byte_level")
    held = driver(
        model=tiny(kind), constraint=automaton(tables), words=WORDS, written=tables.written, boost=30.0, is_small=True
    )
    ids = held(limit, do_sample=True, shape={f"has_forced_{forced}": True} if forced else None, **FORCED[forced])
    assert held.num_foreign(ids) == 0
    if forced == "eos" and ids.shape[1] == limit:
        assert set(ids[:, -1].tolist()) <= {1, 2}
    if forced == "bos":
        assert ids[:, 0].tolist() == [0] * 4


@pytest.mark.parametrize("kind", ["fallback_bpe", "metaspace_bpe", "metaspace_unigram", "word_piece"])
@pytest.mark.parametrize("mode", ["sampling", "beams"])
def test_every_kind_of_vocabulary(tables_of: TablesOf, tiny: Tiny, driver: Any, kind: str, mode: str) -> None:
    tables = tables_of(kind)
    held = driver(model=tiny("llama"), constraint=automaton(tables), words=WORDS, written=tables.written, is_small=True)
    assert held.num_foreign(held(30, **MODES[mode])) == 0
    free = driver(model=tiny("llama"), constraint=None, words=WORDS, written=tables.written)
    assert free.num_foreign(free(30, **MODES[mode])) > 20


@pytest.mark.parametrize("is_small", [None, True])
@pytest.mark.parametrize("kind", ["llama", "bart"])
@pytest.mark.parametrize("drafts", ["assistant", "prompt_lookup"])
@pytest.mark.parametrize("mode", ["greedy", "sampling"])
def test_drafts_of_another_model(
    tables_of: TablesOf, tiny: Tiny, driver: Any, kind: str, drafts: str, mode: str, is_small: bool | None
) -> None:
    """transformers drafts for one row at a time; what is greedy stays what it was without drafts."""
    tables = tables_of("byte_level")
    ways = {
        "assistant": {"assistant_model": tiny(kind, width=420, seed=5)},
        "prompt_lookup": {"prompt_lookup_num_tokens": 3},
    }
    for words in WORDS[::2]:
        held = driver(
            model=tiny(kind), constraint=automaton(tables), words=[words], written=tables.written, is_small=is_small
        )
        ids = held(30, **MODES[mode], **ways[drafts])
        assert held.num_foreign(ids) == 0
        if mode == "greedy":
            assert torch.equal(ids, held(30))


def test_inputs_embeds_have_no_prompt(tables_of: TablesOf, tiny: Tiny, driver: Any) -> None:
    tables = tables_of("byte_level")
    held = driver(model=tiny("llama"), constraint=automaton(tables), words=WORDS, written=tables.written)
    ids = held(30, from_embeds=True)
    assert ids.shape[1] > 15
    assert held.num_foreign(ids) == 0
    assert torch.equal(ids, held(30)), "the same prompts as ids"


def test_several_terminators(tables_of: TablesOf, tiny: Tiny, driver: Any) -> None:
    """A line break may be one of them: it ends the text, and is not said before."""
    tables = tables_of("byte_level")
    newline = list(tables.written).index(b"\n")
    held = driver(
        model=tiny("llama"),
        constraint=automaton(tables, (2, newline)),
        words=WORDS,
        written=tables.written,
        terminators=(2, newline),
        boost=-1.0,
    )
    ids = held(60, do_sample=True)
    assert held.num_foreign(ids) == 0
    assert all("\n" not in text for _, text in held.texts(ids))
    assert {int(sequence[sequence != 1][-1]) for sequence in ids} <= {2, newline}


def scores_of(constraint: Constraint, scores: Tensor, *, generated: list[list[int]], **shape: Any) -> Tensor:
    """What the processor leaves of scores, behind a prompt of one token."""
    asked = GenerationShape(prompt_length=1, max_new_tokens=shape.pop("max_new_tokens", 50), **shape)
    ids = torch.tensor([[0, *sequence] for sequence in generated])
    result: Tensor = constraint.for_rows(WORDS, asked).processor(ids, scores)
    return result


@pytest.mark.parametrize("num_beams", [1, 2])
def test_refill(tables_of: TablesOf, num_beams: int) -> None:
    """Another rule leaves nothing: finite scores for what is allowed, and for nothing else; also behind the end."""
    tables = tables_of("byte_level")
    first = list(tables.written).index("뷁".encode()[:1])
    generated = [sequence for sequence in ([first], [2], [first], [first]) for _ in range(num_beams)]
    size = len(generated)
    scores = torch.full((size, 430), -torch.inf)
    scores[-1, 300] = 1.0
    left = scores_of(automaton(tables), scores, generated=generated, num_beams=num_beams)
    open_scores = scores_of(automaton(tables), torch.zeros(size, 430), generated=generated, num_beams=num_beams)
    assert not left.isnan().any()
    assert torch.equal(left.isfinite(), open_scores.isfinite())
    assert (left[left.isfinite()] == REFILL).all()
    # A finished row may only end again.
    assert left[num_beams].isfinite().nonzero().flatten().tolist() == [2]
    assert len(left[0].isfinite().nonzero()) > 10


@pytest.mark.parametrize("mode", ["greedy", "sampling", "beams", "beam_sampling"])
def test_generation_survives_a_rule_that_forbids_everything(
    tables_of: TablesOf, tiny: Tiny, driver: Any, mode: str
) -> None:
    tables = tables_of("byte_level")
    held = driver(model=tiny("llama"), constraint=automaton(tables), words=WORDS, written=tables.written, is_small=True)
    beams = MODES[mode].get("num_beams", 1)
    ids = held(12, before=[Likes([], rows=range(beams, 2 * beams))], **MODES[mode])
    assert held.num_foreign(ids) == 0


BACK_ENDS: dict[str, Callable[[TokenTables], Constraint]] = {
    "automaton": automaton,
    "prefix_function": lambda tables: PrefixFunctionConstraint(tables, eos_token_ids=[2]),
    "static_mask": lambda tables: StaticMaskConstraint(tables, eos_token_ids=[2]),
}


@pytest.mark.parametrize("name", BACK_ENDS)
@pytest.mark.parametrize("mode", ["greedy", "sampling", "beams", "several_samples", "static_cache"])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_all_back_ends_keep_the_charset(
    tables_of: TablesOf, tiny: Tiny, driver: Any, kind: str, mode: str, name: str
) -> None:
    """Without words even a list of whole tokens leaks nothing: it loses syllables instead."""
    tables = tables_of("byte_level")
    constraint = BACK_ENDS[name](tables)
    assert constraint.name == name
    words = WORDS if name != "static_mask" else [()] * 4
    held = driver(model=tiny(kind), constraint=constraint, words=words, written=tables.written)
    ids = held(20, **MODES[mode])
    assert ids.shape[1] > 5
    assert held.num_foreign(ids) == 0


@pytest.mark.parametrize("mode", ["greedy", "sampling", "beams"])
@pytest.mark.parametrize("forced", ["", "bos", "eos"])
def test_the_prefix_function_allows_what_the_automaton_allows(
    tables_of: TablesOf, tiny: Tiny, driver: Any, mode: str, forced: str
) -> None:
    """Along whole generations, the last tokens before the limit included: equal sets at every step."""
    tables = tables_of("byte_level")
    held = driver(model=tiny("bart"), constraint=automaton(tables), words=WORDS, written=tables.written)
    beams = MODES[mode].get("num_beams", 1)
    is_forced = {f"has_forced_{forced}": True} if forced else {}
    ids = held(9, num_return_sequences=beams, shape=is_forced, **FORCED[forced], **MODES[mode])
    shape = {"num_beams": beams, "max_new_tokens": 9, **is_forced}
    both = (automaton(tables), PrefixFunctionConstraint(tables, eos_token_ids=[2]))
    for length in range(ids.shape[1]):
        generated = ids[:, :length].tolist()
        sets = [
            scores_of(one, torch.zeros(len(ids), len(tables.written)), generated=generated, **shape).isfinite()
            for one in both
        ]
        assert torch.equal(*sets)


def test_the_static_mask_leaks_or_loses(tables_of: TablesOf, tiny: Tiny, driver: Any) -> None:
    """With fragments anything can be written; without them most syllables cannot."""
    tables = tables_of("byte_level")
    strict, loose = (StaticMaskConstraint(tables, eos_token_ids=[2], allow_fragments=a) for a in (False, True))
    held = driver(model=tiny("llama"), constraint=loose, words=[()] * 4, written=tables.written)
    assert held.num_foreign(held(60, do_sample=True)) > 50
    whole = {
        token
        for token, piece in enumerate(tables.written)
        if piece and "\ufffd" not in piece.decode("utf-8", "replace")
    }
    kept = set(strict.columns.tolist()) - {2}
    assert kept == {token for token in whole if tables.accepts([token])}
    written = {tables.written[token] for token in kept}
    assert sum(chr(point).encode() in written for point in range(0xAC00, 0xD7A4)) < 200
    assert set(loose.columns.tolist()) == {*tables.columns.tolist(), 2}


def test_a_static_mask_takes_a_rows_words_apart(tables_of: TablesOf) -> None:
    """It knows no order: the letters of `KTX` are open to its row, and to that row alone."""
    tables = tables_of("byte_level")
    letter = list(tables.written).index(b"K")
    scores = scores_of(BACK_ENDS["static_mask"](tables), torch.zeros(4, 420), generated=[[]] * 4)
    assert scores[:, letter].isfinite().tolist() == [True, False, False, False]


@pytest.mark.parametrize("name", BACK_ENDS)
def test_scores_are_kept_or_overwritten(tables_of: TablesOf, name: str) -> None:
    tables = tables_of("byte_level")
    scores = torch.randn(4, 420)
    before = scores.clone()
    kept = scores_of(BACK_ENDS[name](tables), scores, generated=[[]] * 4)
    assert torch.equal(scores, before)
    again = scores_of(BACK_ENDS[name](tables), scores, generated=[[]] * 4, overwrites_scores=True)
    assert torch.equal(kept, again)
    assert (scores.data_ptr() == again.data_ptr()) == (name != "prefix_function")


def test_a_terminator_is_needed_and_counted_once(tables_of: TablesOf) -> None:
    with pytest.raises(ValueError, match="give eos_token_ids"):
        automaton(tables_of("byte_level"), ())
    assert automaton(tables_of("byte_level"), (2, 2)).eos_token_ids == (2,)
