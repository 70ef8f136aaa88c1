"""Run by `test_grad_norm_histogram.py` under one or two ranks: two optimizer steps of the same sixteen rows."""

from __future__ import annotations

import sys
from pathlib import Path

from lightning.pytorch import Trainer, seed_everything
from torch.utils.data import DataLoader

from kosum_pl.callbacks.grad_norm_histogram import GradNormHistogram
from kosum_pl.encode import CollateItem, Collator, TokenLimits
from kosum_pl.modules import CausalModule
from kosum_pl.types import Dialogue


def main(folder: Path, num_ranks: int, num_batches: int) -> None:
    seed_everything(7, verbose=False)  # also in the environment, from which ranks are seeded again
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 64}
    module = CausalModule("demo:llama", random_init=True, config_overrides=shape, learning_rate=1e-2)
    collate = Collator(pad_token_id=int(module.encoder.tokenizer.pad_token_id), is_causal=True, for_generation=False)
    limits = TokenLimits(max_source_tokens=200, max_summary_tokens=60)
    rows = [
        Dialogue(example_id=f"r{n}", text=f"#Person1#: {'비가 와요. ' * n}", references=("비. " * n,), profile={})
        for n in range(1, 17)
    ]
    items = [
        CollateItem(example=module.encoder.encode(row, limits=limits, with_summary=True), row=n)
        for n, row in enumerate(rows)
    ]
    batches = [collate(items[start : start + 2]) for start in range(0, 16, 2)]
    trainer = Trainer(
        accelerator="cpu", devices=num_ranks, strategy="ddp" if num_ranks > 1 else "auto", max_epochs=1,
        accumulate_grad_batches=num_batches, callbacks=[GradNormHistogram(plot=False)], default_root_dir=folder,
        use_distributed_sampler=False, gradient_clip_val=0.5,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    # Both ranks together take the rows of a step that one rank takes alone.
    loader: DataLoader[object] = DataLoader(batches[trainer.global_rank :: num_ranks], batch_size=None)  # type: ignore[arg-type]
    trainer.fit(module, train_dataloaders=loader)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
