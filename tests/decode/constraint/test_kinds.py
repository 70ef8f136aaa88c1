"""The constraints inside `generate`: one driver, several back ends, every decoding mode, tiny random models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LogitsProcessor

from kosum_pl.decode.constraint.kinds import (
    AutomatonConstraint,
    Constraint,
    PrefixFunctionConstraint,
    StaticMaskConstraint,
)
from kosum_pl.decode.constraint.processors import REFILL, GenerationShape
from kosum_pl.decode.constraint.tables import TokenTables
from kosum_pl.types import TAG_PATTERN
from tests.decode.driver import WORDS, Driver

TablesOf = Callable[[str], TokenTables]
Drive = Callable[..., Driver]
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
def test_nothing_foreign_in_any_mode(drive: Drive, kind: str, mode: str) -> None:
    """A model wider than its vocabulary, prompts of different lengths, small head on and off in turn."""
    run = drive(kind, width=440, is_small=[None, True, False][len(mode) % 3])
    ids = run(30, **MODES[mode])
    assert ids.shape[1] > 15
    assert run.num_foreign(ids) == 0
    assert run.num_foreign(run.free(30, **MODES[mode])) > 40


def test_words_appear_in_their_rows_alone(tables_of: TablesOf, drive: Drive) -> None:
    """`num_foreign` checks each row by its own words; here some are really written."""
    written, run = tables_of("byte_level").written, drive(boost=0.0)
    likes = Likes([index for index, piece in enumerate(written) if piece.isascii() and piece.strip().isalpha()])
    seen: dict[int, str] = {row: "" for row in range(4)}
    for seed in range(4):
        ids = run(60, seed=seed, do_sample=True, before=[likes])
        assert run.num_foreign(ids) == 0
        for row, text in run.texts(ids):
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
def test_the_limit_never_cuts_a_character(drive: Drive, kind: str, forced: str, limit: int) -> None:
    run = drive(kind, boost=30.0, is_small=True)
    ids = run(limit, do_sample=True, shape={f"has_forced_{forced}": True} if forced else None, **FORCED[forced])
    assert run.num_foreign(ids) == 0
    if forced == "eos" and ids.shape[1] == limit:
        assert set(ids[:, -1].tolist()) <= {1, 2}
    if forced == "bos":
        assert ids[:, 0].tolist() == [0] * 4


@pytest.mark.parametrize("vocabulary", ["fallback_bpe", "metaspace_bpe", "metaspace_unigram", "word_piece"])
@pytest.mark.parametrize("mode", ["sampling", "beams"])
def test_every_kind_of_vocabulary(drive: Drive, vocabulary: str, mode: str) -> None:
    run = drive(vocabulary=vocabulary, is_small=True)
    assert run.num_foreign(run(30, **MODES[mode])) == 0
    assert run.num_foreign(run.free(30, **MODES[mode])) > 20


@pytest.mark.parametrize("is_small", [None, True])
@pytest.mark.parametrize("kind", ["llama", "bart"])
@pytest.mark.parametrize("drafts", ["assistant", "prompt_lookup"])
@pytest.mark.parametrize("mode", ["greedy", "sampling"])
def test_drafts_of_another_model(
    tiny: Callable[..., Any], drive: Drive, kind: str, drafts: str, mode: str, is_small: bool | None
) -> None:
    """transformers drafts for one row at a time; what is greedy stays what it was without drafts."""
    ways = {
        "assistant": {"assistant_model": tiny(kind, width=420, seed=5)},
        "prompt_lookup": {"prompt_lookup_num_tokens": 3},
    }
    for words in WORDS[:3:2]:
        run = drive(kind, words=[words], is_small=is_small)
        ids = run(30, **MODES[mode], **ways[drafts])
        assert run.num_foreign(ids) == 0
        if mode == "greedy":
            assert torch.equal(ids, run(30))


def test_inputs_embeds_have_no_prompt(drive: Drive) -> None:
    run = drive()
    ids = run(30, from_embeds=True)
    assert ids.shape[1] > 15
    assert run.num_foreign(ids) == 0
    assert torch.equal(ids, run(30)), "the same prompts as ids"


def test_several_terminators(tables_of: TablesOf, drive: Drive) -> None:
    """A line break may be one of them: it ends the text, and is not written before."""
    tables = tables_of("byte_level")
    ends = (2, list(tables.written).index(b"\n"))
    run = drive(constraint=automaton(tables, ends), terminators=ends, boost=-1.0)
    ids = run(60, do_sample=True)
    assert run.num_foreign(ids) == 0
    assert all("\n" not in text for _, text in run.texts(ids))
    assert {int(sequence[sequence != 1][-1]) for sequence in ids} <= set(ends)


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
def test_generation_survives_a_rule_that_forbids_everything(drive: Drive, mode: str) -> None:
    run, beams = drive(is_small=True), MODES[mode].get("num_beams", 1)
    ids = run(12, before=[Likes([], rows=range(beams, 2 * beams))], **MODES[mode])
    assert run.num_foreign(ids) == 0


BACK_ENDS: dict[str, Callable[[TokenTables], Constraint]] = {
    "automaton": automaton,
    "prefix_function": lambda tables: PrefixFunctionConstraint(tables, eos_token_ids=[2]),
    "static_mask": lambda tables: StaticMaskConstraint(tables, eos_token_ids=[2]),
}


@pytest.mark.parametrize("name", ["prefix_function", "static_mask"])
@pytest.mark.parametrize("mode", ["greedy", "sampling", "beams", "several_samples", "static_cache"])
@pytest.mark.parametrize("kind", ["llama", "bart"])
def test_the_other_back_ends_keep_the_charset(
    tables_of: TablesOf, drive: Drive, kind: str, mode: str, name: str
) -> None:
    """Without words even a list of whole tokens leaks nothing: it loses syllables instead."""
    constraint = BACK_ENDS[name](tables_of("byte_level"))
    assert constraint.name == name
    run = drive(kind, constraint=constraint, words=WORDS if name != "static_mask" else [()] * 4)
    ids = run(20, **MODES[mode])
    assert ids.shape[1] > 5
    assert run.num_foreign(ids) == 0


@pytest.mark.parametrize("mode", ["greedy", "sampling", "beams"])
@pytest.mark.parametrize("forced", ["", "bos", "eos"])
def test_the_prefix_function_allows_what_the_automaton_allows(
    tables_of: TablesOf, drive: Drive, mode: str, forced: str
) -> None:
    """Along whole generations, the last tokens before the limit included: equal sets at every step."""
    tables = tables_of("byte_level")
    beams = MODES[mode].get("num_beams", 1)
    is_forced = {f"has_forced_{forced}": True} if forced else {}
    ids = drive("bart")(9, num_return_sequences=beams, shape=is_forced, **FORCED[forced], **MODES[mode])
    shape = {"num_beams": beams, "max_new_tokens": 9, **is_forced}
    both = (automaton(tables), PrefixFunctionConstraint(tables, eos_token_ids=[2]))
    for length in range(ids.shape[1]):
        generated = ids[:, :length].tolist()
        sets = [
            scores_of(one, torch.zeros(len(ids), len(tables.written)), generated=generated, **shape).isfinite()
            for one in both
        ]
        assert torch.equal(*sets)


def test_the_static_mask_leaks_or_loses(tables_of: TablesOf, drive: Drive) -> None:
    """With fragments anything can be written; without them most syllables cannot."""
    tables = tables_of("byte_level")
    strict, loose = (StaticMaskConstraint(tables, eos_token_ids=[2], allow_fragments=a) for a in (False, True))
    run = drive(constraint=loose, words=[()] * 4)
    assert run.num_foreign(run(60, do_sample=True)) > 50
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
