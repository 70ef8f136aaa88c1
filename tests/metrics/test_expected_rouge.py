"""Expected ROUGE against the naive double loop over the scores of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosum_pl.metrics.expected_rouge import expected_rouge, pairwise_rouge
from kosum_pl.metrics.rouge import rouge_scores

TOKENS = st.lists(st.sampled_from(["밥", "을", "먹", "었", "다", "#Person1#"]), max_size=12)
WEIGHTS = (1.0, 3.0, 2.0)


@given(st.lists(TOKENS, min_size=1, max_size=7))
def test_every_pair_scores_as_it_does_alone(candidates: list[list[str]]) -> None:
    found = pairwise_rouge(candidates)
    wanted = [[rouge_scores(one, other) for other in candidates] for one in candidates]
    assert found.tolist() == [[list(scores) for scores in row] for row in wanted]
    assert np.array_equal(found, found.transpose(1, 0, 2))


@given(st.lists(st.tuples(TOKENS, st.floats(0.01, 1)), min_size=2, max_size=6))
def test_the_expectation_is_over_the_others(rows: list[tuple[list[str], float]]) -> None:
    candidates, probabilities = [tokens for tokens, _ in rows], [mass for _, mass in rows]
    for number, value in enumerate(expected_rouge(candidates, probabilities=probabilities, weights=WEIGHTS)):
        others = [other for other in range(len(rows)) if other != number]
        scores = [
            sum(w * s for w, s in zip(WEIGHTS, rouge_scores(candidates[number], candidates[other]), strict=True))
            for other in others
        ]
        mass = [probabilities[other] for other in others]
        assert value == pytest.approx(np.average(scores, weights=mass))


def test_one_candidate_alone_has_no_expectation() -> None:
    assert expected_rouge([["밥"]], probabilities=[1.0], weights=WEIGHTS).tolist() == [0.0]
    assert expected_rouge([["밥", "을"]] * 2, probabilities=[1.0, 0.0], weights=WEIGHTS).tolist() == [0.0, 6.0]
