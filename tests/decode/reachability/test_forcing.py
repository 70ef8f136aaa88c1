"""Teacher forcing on scores, against processors that are called at each position by hand."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessor, NoRepeatNGramLogitsProcessor

from kosum_pl.decode.reachability.forcing import forbidden_positions

WIDTH = 6
IDS = st.lists(st.integers(0, WIDTH - 1), min_size=1, max_size=12)


class Overwrites(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped to mypy
    """Forbids in place what is equal to the token before."""

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        last = input_ids[:, -1]
        scores[last >= 0, last[last >= 0]] = -math.inf
        return scores


@settings(deadline=None)
@given(st.lists(IDS, min_size=1, max_size=40), st.integers(1, 3))
def test_positions_are_those_of_a_naive_loop(references: list[list[int]], size: int) -> None:
    def naive(ids: list[int]) -> list[int]:
        found = []
        for position in range(len(ids)):
            grams = [ids[start : start + size] for start in range(position - size + 1)]
            is_repeated = position >= size - 1 and ids[position - size + 1 : position + 1] in grams
            is_doubled = position > 0 and ids[position] == ids[position - 1]
            if is_repeated or is_doubled:
                found.append(position)
        return found

    found = forbidden_positions(
        references, lambda rows: [Overwrites(), NoRepeatNGramOfGenerated(size), Overwrites()], width=WIDTH
    )
    assert found == [naive(ids) for ids in references]


class NoRepeatNGramOfGenerated(LogitsProcessor):  # type: ignore[misc]
    """transformers' own rule, on what stands behind the prompt."""

    def __init__(self, size: int) -> None:
        self._rule = NoRepeatNGramLogitsProcessor(size)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        kept: torch.Tensor = self._rule(input_ids[:, 1:], scores)
        return kept


def test_processors_are_made_for_the_rows_of_a_batch_and_none_are_needed() -> None:
    asked: list[int] = []

    def make(rows: object) -> list[LogitsProcessor]:
        assert isinstance(rows, list)
        asked.extend(rows)
        return []

    assert forbidden_positions([[1], [2, 3]] * 40, make, width=WIDTH) == [[]] * 80
    assert sorted(asked) == list(range(80))
