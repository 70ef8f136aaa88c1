"""Run by `test_token_mean.py` under two ranks: one optimizer step of two micro-batches, gradients saved per rank."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader


class SaveGradients(Callback):
    """Writes what the optimizer step sees."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: torch.nn.Module, optimizer: object) -> None:
        gradients = {name: parameter.grad.clone() for name, parameter in pl_module.named_parameters()}
        torch.save(gradients, self.folder / f"gradients_{trainer.global_rank}.pt")


def main(folder: Path) -> None:
    saved = torch.load(folder / "input.pt", weights_only=False)
    trainer = Trainer(
        accelerator="cpu", devices=2, strategy="ddp", precision="64-true", max_epochs=1, accumulate_grad_batches=2,
        callbacks=[SaveGradients(folder)], use_distributed_sampler=False,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(saved["module"], train_dataloaders=DataLoader(saved["shards"][trainer.global_rank], batch_size=None))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
