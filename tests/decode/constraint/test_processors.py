"""Rows one by one, as on a processor, against all at once, as on a GPU."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from kosum_pl.decode.constraint.kinds import AutomatonConstraint
from kosum_pl.decode.constraint.minimal import DEAD
from kosum_pl.decode.constraint.processors import REFILL, GenerationShape
from kosum_pl.decode.constraint.tables import TokenTables

EOS = 2
PROMPT = 3
WORDS = [["KTX", "Jimmy"], [], ["5km", "café"], ["大會"]]


def walked(constraint: AutomatonConstraint, num_tokens: int, *, seed: int) -> torch.Tensor:
    """Ids, (4, P + T): random tokens that are allowed in each row, its words among them."""
    draw = np.random.default_rng(seed)
    tracker = constraint.tracker(WORDS, prompt_length=PROMPT)
    ids = np.full((len(WORDS), PROMPT + num_tokens), 5)
    for row, added in enumerate(tracker.rows):
        state = constraint.tables.automaton.start
        for place in range(PROMPT, ids.shape[1]):
            common = tracker.common_state(state, row=row)
            allowed = [] if common == DEAD else constraint.tables.columns[constraint.tables.following[common] != DEAD]
            own = [] if added is None else added.tokens.get(state, [])
            # Words are rare among all that is allowed.
            ids[row, place] = draw.choice(own if len(own) and (not len(allowed) or draw.random() < 0.5) else allowed)
            state = tracker.step(state, int(ids[row, place]), row=row)
    ids[1, -1] = EOS
    return torch.from_numpy(ids)


@pytest.mark.parametrize("kind", ["byte_level", "fallback_bpe", "word_piece"])
@pytest.mark.parametrize("left", [50, 2, 1, 0])
@pytest.mark.parametrize("overwrites", [False, True])
def test_rows_one_by_one_are_as_all_at_once(
    tables_of: Callable[[str], TokenTables], kind: str, left: int, overwrites: bool
) -> None:
    tables = tables_of(kind)
    constraint = AutomatonConstraint(tables, eos_token_ids=[EOS])
    within = 0
    for seed in range(8):
        num_tokens = 1 + seed
        ids = walked(constraint, num_tokens, seed=seed)
        shape = GenerationShape(
            prompt_length=PROMPT, max_new_tokens=num_tokens + 1 + left, overwrites_scores=overwrites
        )
        scores = torch.randn(len(WORDS), len(tables.written) + 7, generator=torch.Generator().manual_seed(seed))
        scores[0] = -math.inf  # another rule left nothing
        own = scores.clone()
        found = constraint.for_rows(WORDS, shape).processor(ids, own)
        # What is no float32 takes the other way.
        expected = constraint.for_rows(WORDS, shape).processor(ids, scores.double())
        assert torch.equal(found.double(), expected)
        assert found.dtype == torch.float32
        assert (found is own or found.data_ptr() == own.data_ptr()) == overwrites
        assert overwrites or torch.equal(own, scores)
        assert set(found[0].unique().tolist()) <= {REFILL, -math.inf}
        assert found[1].isfinite().nonzero().flatten().tolist() == [EOS]
        within += sum(state >= len(tables.distance) for state in constraint.tracker(
            WORDS, prompt_length=PROMPT).states(ids))  # fmt: skip
    assert within > 0


@pytest.mark.parametrize("kind", ["byte_level", "fallback_bpe"])
@pytest.mark.parametrize("num_beams", [1, 2])
def test_rows_with_limits_of_their_own_are_as_each_with_its_limit_for_all(
    tables_of: Callable[[str], TokenTables], kind: str, num_beams: int
) -> None:
    tables = tables_of(kind)
    constraint = AutomatonConstraint(tables, eos_token_ids=[EOS])
    num_differing = 0
    for seed in range(6):
        num_tokens = 1 + seed
        ids = walked(constraint, num_tokens, seed=seed).repeat_interleave(num_beams, dim=0)
        # The last of them is behind its limit while others go on.
        limits = (num_tokens + 40, num_tokens + 2, num_tokens + 1, max(num_tokens - 1, 1))
        scores = torch.randn(len(ids), len(tables.written) + 7, generator=torch.Generator().manual_seed(seed))
        found = {
            limit: constraint.for_rows(
                WORDS, GenerationShape(prompt_length=PROMPT, max_new_tokens=limit, num_beams=num_beams)
            ).processor(ids, scores.clone())
            for limit in (limits, *limits)
        }
        for row, limit in enumerate(limits):
            sequences = slice(row * num_beams, (row + 1) * num_beams)
            assert torch.equal(found[limits][sequences], found[limit][sequences])
            num_differing += not torch.equal(found[limits][sequences], found[limits[0]][sequences])
    assert num_differing, "limits that change nothing prove nothing"


def test_limits_by_row_are_one_a_row(tables_of: Callable[[str], TokenTables]) -> None:
    constraint = AutomatonConstraint(tables_of("byte_level"), eos_token_ids=[EOS])
    with pytest.raises(ValueError, match="max_new_tokens has 2 limits for 3 rows; give one a row"):
        constraint.for_rows([(), (), ()], GenerationShape(prompt_length=PROMPT, max_new_tokens=(4, 5)))
    with pytest.raises(ValueError, match="give max_new_tokens one number"):
        GenerationShape(prompt_length=PROMPT, max_new_tokens=(4, 5), has_forced_eos=True)
