"""The optimizer step's gradient is the mean over its supervised tokens, however the rows are cut into batches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from kosum_pl.encode import Batch
from kosum_pl.modules import SummarizationModule
from tests.modules_fixtures import DIALOGUES, collate_rows, quiet_trainer, wide_module

# Llama's norms compute in fp32 whatever the weights are; GPT-2's do not, and allow a comparison in fp64.
GPT2 = {
    "model_type": "gpt2", "n_layer": 2, "n_embd": 32, "n_head": 2, "n_positions": 512, "initializer_range": 0.3,
    "attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0,
}  # fmt: skip


class GradientTape(Callback):
    """Keeps the gradients and losses that the first optimizer step sees."""

    def __init__(self) -> None:
        self.gradients: dict[str, Tensor] = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: SummarizationModule, optimizer: object) -> None:
        if not self.gradients:
            self.gradients = {
                name: parameter.grad.clone()
                for name, parameter in pl_module.named_parameters()
                if parameter.grad is not None
            }


def fp64_module(kind: str) -> SummarizationModule:
    """A module whose whole forward and backward pass is fp64."""
    shape = {"config_overrides": GPT2} if kind == "causal" else {}
    return wide_module(kind, dtype="float64", generate_during_fit=False, **shape)


def oracle(module: SummarizationModule, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss and gradients of all rows in one batch, by plain autograd over the full logits in fp64."""
    logits, targets = module.supervised_logits(batch)
    loss = torch.nn.functional.cross_entropy(logits, targets)
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    return loss.detach(), gradients


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("num_rows", "rows_per_batch", "accumulate"), [(8, 8, 1), (8, 4, 2), (8, 1, 8), (8, 3, 3), (3, 1, 8)]
)
def test_gradients_do_not_depend_on_how_rows_are_cut(
    kind: str, num_rows: int, rows_per_batch: int, accumulate: int
) -> None:
    """In the last case the epoch ends early: Lightning still divides by `accumulate_grad_batches`."""
    module, rows = fp64_module(kind), DIALOGUES[:num_rows]
    loss, expected = oracle(module, collate_rows(module, rows))
    batches = [
        collate_rows(module, rows[start : start + rows_per_batch]) for start in range(0, num_rows, rows_per_batch)
    ]
    tape = GradientTape()
    trainer = quiet_trainer(precision="64-true", max_epochs=1, accumulate_grad_batches=accumulate, callbacks=[tape])
    trainer.fit(module, train_dataloaders=DataLoader(batches, batch_size=None))
    assert_equal(tape.gradients, expected)
    torch.testing.assert_close(trainer.callback_metrics["train/loss"].double(), loss, rtol=1e-6, atol=0)


@pytest.mark.slow
def test_two_ranks_have_the_gradients_of_one(kind: str, tmp_path: Path, repository: Path) -> None:
    module = fp64_module(kind)
    _, expected = oracle(module, collate_rows(module, DIALOGUES))
    shards = [
        [collate_rows(module, rows) for rows in ([DIALOGUES[0], DIALOGUES[5]], DIALOGUES[6:8])],
        [collate_rows(module, rows) for rows in (DIALOGUES[1:4], DIALOGUES[4:5])],
    ]
    torch.save({"module": module, "shards": shards}, tmp_path / "input.pt")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command = [*launcher, "-m", "tests.modules.gradients_of_two_ranks", str(tmp_path)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in range(2):
        found = torch.load(tmp_path / f"gradients_{rank}.pt", weights_only=True)
        assert_equal(found, expected)
