"""Run by `test_two_ranks.py` under two ranks: fit a step, validate all rows, write what each rank knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lightning.pytorch import Trainer, seed_everything

from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.metrics import BertScoreSettings, SemanticSettings, SimilaritySettings
from kosum_pl.modules import Seq2SeqModule

SHAPE = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}


def main(folder: Path, encoder: str, *, num_ranks: int) -> None:
    seed_everything(3, verbose=False)  # also in the environment, from which ranks are seeded again
    module = Seq2SeqModule(
        "demo:bart", random_init=True, config_overrides=SHAPE, rouge_tokenizer="char", presets=["saturday", "default"],
        fit_preset="fast", semantic=SemanticSettings(
            bertscore=BertScoreSettings(model_name=encoder, idf=True), similarity=SimilaritySettings(model_name=encoder)
        ),
    )  # fmt: skip
    data = SummarizationDataModule(
        str(folder / "dev.csv"), val_file=str(folder / "dev.csv"), batch_size=4, eval_batch_size=4, num_workers=0
    )
    trainer = Trainer(
        accelerator="cpu", devices=num_ranks, strategy="ddp" if num_ranks > 1 else "auto", max_steps=2,
        num_sanity_val_steps=0, use_distributed_sampler=False, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.validate(module, datamodule=data, verbose=False)
    record = {"scores": module.scores, "ids": [prediction.example_id for prediction in module.predictions]}
    record["embedded"] = [len(scorer.encoder._known) for scorer in module.evaluation.semantic.scorers]
    trainer.fit(module, datamodule=data)
    trainer.predict(module, dataloaders=None, datamodule=_predicting(folder))
    record["predicted"] = [prediction.example_id for prediction in module.predictions]
    (folder / f"rank_{trainer.global_rank}_of_{num_ranks}.json").write_text(json.dumps(record), encoding="utf-8")


def _predicting(folder: Path) -> SummarizationDataModule:
    return SummarizationDataModule(predict_file=str(folder / "dev.csv"), batch_size=4, eval_batch_size=4)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], num_ranks=int(sys.argv[3]))
