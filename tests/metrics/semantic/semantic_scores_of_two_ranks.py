"""Run by `test_semantic_scores.py` under two ranks: scores of rows that no rank has all of."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from kosum_pl.metrics import BertScoreSettings, SemanticSettings, SimilaritySettings
from kosum_pl.metrics.scores import EvaluationScores
from kosum_pl.metrics.summary_scores import ScoreSettings
from kosum_pl.types import Prediction

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
        Prediction(
            example_id=f"row_{place}", text=text, raw_text=text, dialogue="비가 온다",
            references=() if place == 2 else (text[::-1] + "가 갔다", "눈이 온다"), profile={"weekday": str(place % 2)},
            log_prob=-1.0, num_tokens=3, reached_eos=True, attempts=1, preset="fast",
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
    found = scores.compute("val", scores.gather())
    known = [len(scorer.encoder._known) for scorer in scores.semantic.scorers]
    (folder / f"rank_{rank}.json").write_text(json.dumps({"scores": found, "known": known}), encoding="utf-8")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
