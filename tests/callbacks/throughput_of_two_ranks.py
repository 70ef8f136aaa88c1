"""Run by `test_throughput_logger.py` under two ranks: one epoch by scripted clocks; writes what each rank knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from kosum_pl.callbacks import throughput_logger
from kosum_pl.datamodule import SummarizationDataModule
from kosum_pl.modules import Seq2SeqModule


class Noter(Callback):
    """Notes ids and padded tokens of every training batch."""

    def __init__(self) -> None:
        self.ids: list[tuple[str, ...]] = []
        self.num_padded: list[int] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.ids.append(batch.example_ids)
        self.num_padded.append(batch.input_ids.numel() + batch.labels.numel())


def main(folder: Path) -> None:
    given = json.loads((folder / "input.json").read_text(encoding="utf-8"))
    noter, callback, times = Noter(), throughput_logger.ThroughputLogger(warmup_steps=0), [0.0]
    module = Seq2SeqModule(
        "demo:bart", random_init=True, config_overrides=given["shape"], rouge_tokenizer="char",
        generate_during_fit=False,
    )  # fmt: skip
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, callbacks=[callback, noter], log_every_n_steps=2,
        num_sanity_val_steps=0, use_distributed_sampler=False, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip

    def clock() -> float:
        # Odd looks are ends of batches: they take a second on rank 0, two on rank 1; between them passes a quarter.
        times.append(times[-1] + ((1.0 + trainer.global_rank) if len(times) % 2 == 0 else 0.25))
        return times[-1]

    callback.clock = clock
    throughput_logger.memory_use = lambda device: {"memory_peak_gb": 2.0 - trainer.global_rank}
    trainer.fit(module, datamodule=SummarizationDataModule(**given["files"], batch_size=4, eval_batch_size=4))
    record = {
        "summary": callback.summary, "ids": noter.ids, "num_padded": noter.num_padded, "starts": times[1::2],
        "ends": times[2::2],
    }  # fmt: skip
    (folder / f"rank_{trainer.global_rank}.json").write_text(json.dumps(record), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
