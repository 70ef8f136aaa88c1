"""Settings, row scores and their means; and on real rows, paired summaries against shuffled ones."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kosum_pl.metrics import BERTSCORE_NAMES, BertScoreSettings, SemanticScorer, SemanticSettings, SimilaritySettings

CPU = torch.device("cpu")
PREDICTIONS = ["비가 온다.", "", "눈", "나는 사자를 먹었고 갔다"]
REFERENCES = [("눈이 온다",), ("비",), (), ("나는", "사자를 먹었다")]


@pytest.fixture
def settings(tiny_encoder: str) -> SemanticSettings:
    return SemanticSettings(
        bertscore=BertScoreSettings(model_name=tiny_encoder, layer=2, idf=True),
        similarity=SimilaritySettings(model_name=tiny_encoder),
    )


def test_rows_without_references_are_not_measured(settings: SemanticSettings) -> None:
    scorer = SemanticScorer(settings)
    scores = scorer.score(PREDICTIONS, REFERENCES, device=CPU)
    assert scorer.names == (*BERTSCORE_NAMES, "similarity")
    assert settings.names == (*scorer.names, "bleu", "chrf")
    assert np.isnan(scores).all(axis=1).tolist() == [False, False, True, False]
    assert scores[1].tolist() == [0, 0, 0, 0]
    assert ((scores[[0, 3]] > 0) & (scores[[0, 3]] <= 1)).all()
    assert np.isnan(scorer.score(["가"], [()], device=CPU)).all()
    assert scorer.record().keys() == {"bertscore_encoder", "similarity_encoder"}


def test_a_copy_shares_the_encoder_and_a_pickle_leaves_it_behind(settings: SemanticSettings) -> None:
    scorer = SemanticScorer(settings)
    scores = scorer.score(PREDICTIONS, REFERENCES, device=CPU)
    copied = copy.deepcopy(scorer)
    assert copied.scorers[0].encoder is scorer.scorers[0].encoder  # type: ignore[attr-defined]
    packed = pickle.dumps(scorer)
    assert len(packed) < 5000
    again = pickle.loads(packed).score(PREDICTIONS, REFERENCES, device=CPU)
    assert again == pytest.approx(scores, nan_ok=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BertScoreSettings(model_name="a", layer=-1), "layer is -1; count from 0, or null for the last"),
        (lambda: BertScoreSettings(model_name="a", batch_size=0), "bertscore.batch_size is 0; give at least 1"),
        (lambda: SimilaritySettings(model_name="a", batch_size=0), "similarity.batch_size is 0; give at least 1"),
        (lambda: SimilaritySettings(model_name="a", pooling="max"), "pooling is 'max'; write mean, cls or null"),
    ],
)
def test_settings_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"^model\.semantic\.") as caught:
        make()
    assert str(caught.value).endswith(message)


@pytest.mark.shared
def test_two_people_agree_more_than_strangers(dev_references: list[list[str]]) -> None:
    """The first 100 rows: one summary against the other of the same dialogue, and against another dialogue's."""
    folder = Path(os.environ.get("KOSUM_ENCODER_DIR", ""))
    if not (folder / "config.json").is_file():
        pytest.skip("no sentence encoder at hand (set KOSUM_ENCODER_DIR)")
    rows = dev_references[:100]
    scorer = SemanticScorer(
        SemanticSettings(
            bertscore=BertScoreSettings(model_name=str(folder), idf=True),
            similarity=SimilaritySettings(model_name=str(folder), prompt="query: "),
        )
    )
    texts, others = [row[0] for row in rows], [(row[1],) for row in rows]
    paired = scorer.score(texts, others, device=CPU)
    strangers = scorer.score(texts, others[1:] + others[:1], device=CPU)
    for name, one, other in zip(scorer.names, paired.T, strangers.T, strict=True):
        assert (one > other).mean() > 0.95, name
        # The intervals of the means, 95 %, are far from touching.
        ends = [1.96 * values.std(ddof=1) / 10 for values in (one, other)]
        assert one.mean() - ends[0] > other.mean() + ends[1] + 0.02, name
