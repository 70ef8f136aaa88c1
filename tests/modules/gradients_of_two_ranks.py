"""Run by `test_token_mean.py` under two ranks: one optimizer step of two micro-batches, gradients saved per rank."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from tests.modules.test_token_mean import GradientTape
from tests.modules_fixtures import quiet_trainer


def main(folder: Path) -> None:
    saved, tape = torch.load(folder / "input.pt", weights_only=False), GradientTape()
    settings = {"devices": 2, "strategy": "ddp", "precision": "64-true", "max_epochs": 1, "accumulate_grad_batches": 2}
    trainer = quiet_trainer(callbacks=[tape], **settings)
    trainer.fit(saved["module"], train_dataloaders=DataLoader(saved["shards"][trainer.global_rank], batch_size=None))
    torch.save(tape.gradients, folder / f"gradients_{trainer.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
