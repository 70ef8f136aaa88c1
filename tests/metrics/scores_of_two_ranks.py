"""Run by `test_two_ranks.py` under two ranks: fit a step, validate all rows, write what each rank knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lightning.pytorch import seed_everything

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.metrics import BertScoreSettings, SemanticSettings, SimilaritySettings
from tests.modules_fixtures import quiet_trainer, small_module


def main(folder: Path, encoder: str, *, num_ranks: int) -> None:
    seed_everything(3, verbose=False)  # also in the environment, from which ranks are seeded again
    semantic = SemanticSettings(
        bertscore=BertScoreSettings(model_name=encoder, idf=True), similarity=SimilaritySettings(model_name=encoder)
    )
    module = small_module("seq2seq", presets=["saturday", "default"], fit_preset="fast", semantic=semantic)
    files, sizes = {"val_file": str(folder / "dev.csv")}, {"batch_size": 4, "eval_batch_size": 4}
    data = SummarizationDataModule(files["val_file"], **files, **sizes, num_workers=0)
    strategy = "ddp" if num_ranks > 1 else "auto"
    trainer = quiet_trainer(devices=num_ranks, strategy=strategy, max_steps=2)
    trainer.validate(module, datamodule=data, verbose=False)
    record = {"scores": module.scores, "ids": [prediction.example_id for prediction in module.predictions]}
    record["embedded"] = [len(scorer.encoder._known) for scorer in module.evaluation.semantic.scorers]
    trainer.fit(module, datamodule=data)
    trainer.predict(module, datamodule=SummarizationDataModule(predict_file=files["val_file"], **sizes))
    record["predicted"] = [prediction.example_id for prediction in module.predictions]
    (folder / f"rank_{trainer.global_rank}_of_{num_ranks}.json").write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], num_ranks=int(sys.argv[3]))
