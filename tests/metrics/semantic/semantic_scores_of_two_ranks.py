"""Run by `test_scores_of_modules.py` under two ranks: scores of rows that no rank has all of."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from kosum_pl.metrics import BertScoreSettings, ScoreSettings, SemanticSettings, SimilaritySettings
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.types import Prediction
from tests.metrics.rows import prediction

TEXTS = ("비가 온다.", "눈", "나는 사자를 먹었고 갔다", "", "#Person1#은 차에서 온다")


def settings(encoder: str) -> ScoreSettings:
    return ScoreSettings(
        rouge_tokenizer="char",
        semantic=SemanticSettings(
            bertscore=BertScoreSettings(model_name=encoder, idf=True), similarity=SimilaritySettings(model_name=encoder)
        ),
    )


def rows() -> list[Prediction]:
    """Five rows in two slices, one of them without a reference."""
    return [
        prediction(
            text, () if place == 2 else (text[::-1] + "가 갔다", "눈이 온다"), example_id=f"row_{place}",
            dialogue="비가 온다 3시", profile={"weekday": str(place % 2)}, slots=("3시", "비"), reached_eos=place != 1,
        )
        for place, text in enumerate(TEXTS)
    ]  # fmt: skip


def main(folder: Path, encoder: str) -> None:
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    scores = EvaluationScores(settings(encoder), slices=["weekday"])
    for place, row in enumerate(rows()):
        if place % 2 == rank:
            scores.update([place], [row])
    scores.update_loss(torch.tensor(1.0), num_tokens=1)
    table, found = scores.finish("val")
    known = [len(scorer.encoder._known) for scorer in scores.semantic.scorers]
    record = {"scores": found, "known": known, "ids": [row.example_id for row in table.predictions]}
    (folder / f"rank_{rank}.json").write_text(json.dumps(record), encoding="utf-8")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
